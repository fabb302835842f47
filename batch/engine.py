"""SQL over the lake and what the log has beyond it, by DuckDB."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import duckdb
import pyarrow as pa

from batch.backlog import archived, ends, stretches
from batch.columns import COMMON_COLUMNS
from batch.duck import DEFAULT_MEMORY_LIMIT, connect
from batch.errors import QueryError
from batch.lake import Lake
from batch.queries import Query, views
from batch.repeats import Repeats
from batch.rows import RowMaker
from streams.log import Log

# The envelopes of all topics' events.
EVENTS = "events"

# Whoever uses these words wants to see which tables there are.
_LISTINGS = {"show", "information_schema"}

_BATCH_ROWS = 10_000


class Engine:
    """Runs queries; every archived topic is a table, and `events` has what all have in common.

    There also are the views of `batch.queries` whose tables there are.

    A topic is read when it is first queried, and stays as it was then. For one thread.
    """

    def __init__(self, lake: Lake, log: Log, memory_limit: str = DEFAULT_MEMORY_LIMIT) -> None:
        """Open; nothing is read yet.

        Args:
            memory_limit: such as "1GB"; what exceeds it goes to the lake's disk.
        """
        self._lake = lake
        self._log = log
        self._connection = connect(lake.directory, memory_limit)
        self._connection.execute("CREATE SCHEMA tail")
        self._made: set[str] = set()
        # By name, with the tables that each reads.
        self._views = {
            view.name: (view, tables)
            for view in views()
            if (tables := self._connection.get_table_names(view.sql)) <= set(lake.topics)
        }

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Give memory and temporary files back; results are at an end, too."""
        self._connection.close()

    def sql(self, query: str) -> pa.RecordBatchReader:
        """Run a SELECT; its rows come as they are computed.

        Raises:
            QueryError: the query is wrong, or no SELECT; while reading: it failed.
            LakeError: a table cannot be read.
        """
        with self._explained():
            self._refuse_others(query)
        self._make_tables(set(re.findall(r"\w+", query.lower())))
        with self._explained():
            # A cursor of its own, because a result occupies it until it is read to its end.
            reader = self._connection.cursor().sql(query).to_arrow_reader(_BATCH_ROWS)
        return pa.RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with self._explained():
            yield from reader

    def _refuse_others(self, query: str) -> None:
        statements = self._connection.extract_statements(query)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise QueryError("write one SELECT: SQL reads the lake, and changes nothing")

    def _make_tables(self, words: set[str]) -> None:
        """Make the tables that a query may mean: those whose names are among its words."""
        wants_list = bool(words & _LISTINGS)
        named = [view for name, view in self._views.items() if wants_list or name in words]
        wanted = words.union(*(tables for _, tables in named))
        wants_all = EVENTS in words or wants_list
        for topic in self._lake.topics:
            if wants_all or topic in wanted:
                self._make_once(topic, partial(self._make_table, topic))
        if wants_all:
            self._make_once(EVENTS, self._make_events)
        for view, _ in named:
            self._make_once(view.name, partial(self._make_view, view))

    def _make_once(self, name: str, make: Callable[[], None]) -> None:
        if name not in self._made:
            make()
            self._made.add(name)

    def _make_view(self, view: Query) -> None:
        self._connection.execute(f'CREATE VIEW "{view.name}" AS {view.sql}')

    def _make_table(self, topic: str) -> None:
        """A view of one version of the topic's table and of what the log had beyond that."""
        table = self._lake.table(topic)
        until = ends(self._log, topic)
        since = archived(table, self._log) if until else {}
        maker = RowMaker(self._connection, self._lake.catalog, topic)
        tail = f'tail."{topic}"'
        self._write_tail(f"CREATE TABLE {tail} AS", maker.make(())[0])
        declared = self._lake.catalog.topics[topic]
        with Repeats(self._connection, declared, table, self._log.incarnation) as repeats:
            for stretch in stretches(self._log, topic, since, until):
                rows = repeats.drop(maker.make(stretch)[0], before=[tail])
                self._write_tail(f"INSERT INTO {tail}", rows)
        parts = " UNION ALL BY NAME ".join(f"FROM {part}" for part in [tail, *table.relations()])
        self._connection.execute(f'CREATE VIEW "{topic}" AS {parts}')

    def _write_tail(self, statement: str, rows: pa.Table) -> None:
        self._connection.register("rows", rows)
        self._connection.execute(f"{statement} FROM rows")
        self._connection.unregister("rows")

    def _make_events(self) -> None:
        self._connection.execute(f'CREATE VIEW "{EVENTS}" AS {events_sql(self._lake.topics)}')

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except duckdb.CatalogException as error:
            tables = ", ".join([*sorted(self._lake.topics), EVENTS, *self._views])
            raise QueryError(f"{error}\nThe tables are {tables}.") from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise QueryError(str(error)) from error


def events_sql(topics: Iterable[str]) -> str:
    """What the tables of all topics have in common, as one relation."""
    columns = ", ".join(f'"{column}"' for column in COMMON_COLUMNS)
    return " UNION ALL ".join(
        f"SELECT '{topic}' AS topic, {columns} FROM \"{topic}\""  # noqa: S608
        for topic in topics
    )
