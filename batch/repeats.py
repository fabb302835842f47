"""Which rows are repeats: SQL counts an event once, exactly as folds do (`streams/duplicates.py`).

- On topics that declare `deduplicated`, an event of a client or a tick is known by its id for 7 days
  from its append on, tenant by tenant.
- What was requeued, what a spill has drained, and in a table that another incarnation of the log has
  been archived into (one that was restored, say) everything else is known by its id without end.

Nothing else is ever appended twice, and costs nothing here.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from batch.duck import quoted
from batch.lake import Table
from schemas.topic import Topic
from streams.duplicates import KEPT_MS, REPEATING, REQUEUED_FOR, SPILLED

# Two copies of what is known without end have the same time, but for a producer that takes its own
# anew with each try.
_SAME_TIME_MS = 24 * 60 * 60 * 1000

_IS_REPEATING = " OR ".join(f"starts_with(source, {quoted(source)})" for source in REPEATING)
_IS_KNOWN_BY_ID = f"cause IS NULL AND ({_IS_REPEATING})"
_IS_AGAIN = (
    f"cause IS NOT NULL AND (starts_with(source, {quoted(REQUEUED_FOR)})"
    f" OR starts_with(cause, {quoted(SPILLED)}))"
)

# Of 128 bits, so that no two events share one; a tenant's name has no slash.
_KEY = "md5_number(concat(tenant, '/', id)) AS key"


class Place(NamedTuple):
    """Where a row's record is."""

    partition: int
    offset: int


class Copy(NamedTuple):
    """One of several appends of an event; it has no place if it came before and counts."""

    key: int
    appended_ms: int
    place: Place | None


class Repeats:
    """Finds repeats among the rows of one topic, as they come."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, topic: Topic, table: Table, incarnation: str
    ) -> None:
        """Begin with what a table has.

        Args:
            table: it may grow by the rows that come through here, and by no others.
            incarnation: that of the log which the rows come from.
        """
        self._connection = connection.cursor()  # of its own, for what is temporary
        self._by_id = _IS_KNOWN_BY_ID if topic.deduplicated else "false"
        self._again = "true" if table.has_others(incarnation) else _IS_AGAIN
        self._table = table
        self._known_since_ms: int | None = None

    def __enter__(self) -> "Repeats":
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()

    def drop(self, rows: pa.Table, before: Sequence[str] = ()) -> pa.Table:
        """The rows without repeats; the first copy of an event is the one that stays.

        Args:
            before: relations of SQL with rows that came before and are not in the table.
        """
        if not len(rows):
            return rows
        self._connection.register("rows", rows)
        repeats = [*self._within_days(before), *self._without_end(before)]
        if repeats:
            self._connection.register("repeats", _as_table(repeats))
            rows = self._connection.sql(
                'FROM rows ANTI JOIN repeats USING (partition, "offset")'
            ).to_arrow_table()
            self._connection.unregister("repeats")
        self._connection.unregister("rows")
        return rows

    def _within_days(self, before: Sequence[str]) -> list[Place]:
        """Repeats of what is known by its id for some days."""
        self._connection.execute(
            f'CREATE OR REPLACE TEMP TABLE suspects AS SELECT partition, "offset", appended_ms, {_KEY} '  # noqa: S608
            f"FROM rows WHERE {self._by_id}"
        )
        ((first_ms,),) = self._all("SELECT min(appended_ms) FROM suspects")
        if first_ms is None:
            return []
        self._learn(first_ms - KEPT_MS, before)
        repeats = repeats_of(self._contested())
        self._connection.register("repeats", _as_table(repeats))
        self._connection.execute(
            "INSERT INTO known SELECT key, appended_ms FROM suspects "
            'ANTI JOIN repeats USING (partition, "offset")'
        )
        self._connection.unregister("repeats")
        return repeats

    def _learn(self, since_ms: int, before: Sequence[str]) -> None:
        """Know the ids of all that was appended since a time."""
        if self._known_since_ms is not None and since_ms >= self._known_since_ms:
            return
        self._known_since_ms = since_ms
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE known (key UHUGEINT, appended_ms BIGINT)"
        )
        where = f"appended_ms >= {since_ms}"
        for relation in [*self._table.relations(where), *before]:
            self._connection.execute(
                f"INSERT INTO known SELECT {_KEY}, appended_ms FROM {relation} "  # noqa: S608
                f"WHERE {where} AND {_IS_KNOWN_BY_ID}"
            )

    def _contested(self) -> list[Copy]:
        """All copies of those events that have several; they are few."""
        found = self._all(
            "WITH contested AS (SELECT key FROM suspects SEMI JOIN known USING (key) "
            "UNION SELECT key FROM suspects GROUP BY key HAVING count(*) > 1) "
            "SELECT key, appended_ms, NULL, NULL FROM known SEMI JOIN contested USING (key) "
            'UNION ALL SELECT key, appended_ms, partition, "offset" '
            "FROM suspects SEMI JOIN contested USING (key)"
        )
        return [
            Copy(key, appended_ms, None if partition is None else Place(partition, offset))
            for key, appended_ms, partition, offset in found
        ]

    def _without_end(self, before: Sequence[str]) -> list[Place]:
        """Repeats of what is known by its id without end."""
        self._connection.execute(
            'CREATE OR REPLACE TEMP TABLE suspects AS SELECT partition, "offset", tenant, id, time_ms '  # noqa: S608
            f"FROM rows WHERE NOT ({self._by_id}) AND ({self._again})"
        )
        ((since_ms, until_ms),) = self._all("SELECT min(time_ms), max(time_ms) FROM suspects")
        if since_ms is None:
            return []
        window = f"time_ms BETWEEN {since_ms - _SAME_TIME_MS} AND {until_ms + _SAME_TIME_MS}"
        found = self._all(
            " UNION ".join(
                [
                    'SELECT s.partition, s."offset" FROM suspects s JOIN rows r USING (tenant, id) '
                    'WHERE (r.partition, r."offset") < (s.partition, s."offset")',
                    *(
                        'SELECT partition, "offset" FROM suspects '  # noqa: S608
                        f"SEMI JOIN {relation} USING (tenant, id)"
                        for relation in [*self._table.relations(window), *before]
                    ),
                ]
            )
        )
        return [Place(*place) for place in found]

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()


def repeats_of(copies: Iterable[Copy]) -> list[Place]:
    """Which copies come within 7 days of one that counts.

    A copy that does not count does not make the next one wait any longer.
    """
    counted: dict[int, list[int]] = {}
    repeats = []
    for copy in sorted(copies, key=_order):
        times_ms = counted.setdefault(copy.key, [])
        is_repeat = any(abs(copy.appended_ms - time_ms) <= KEPT_MS for time_ms in times_ms)
        if copy.place is not None and is_repeat:
            repeats.append(copy.place)
        else:
            times_ms.append(copy.appended_ms)
    return repeats


def _order(copy: Copy) -> tuple[bool, int, Place]:
    """What counts already comes first."""
    return copy.place is not None, copy.appended_ms, copy.place or Place(0, 0)


def _as_table(places: Sequence[Place]) -> pa.Table:
    partitions, offsets = [place.partition for place in places], [place.offset for place in places]
    return pa.table(
        {"partition": pa.array(partitions, pa.int32()), "offset": pa.array(offsets, pa.int64())}
    )
