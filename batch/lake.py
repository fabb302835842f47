"""The lake: a Delta table per archived topic, in directories of their own.

Rows are appended to the place `recent`, from which they can be moved into months and buckets of
their subjects. Statistics are kept of times alone: those of other columns would put pseudonyms
into Delta's own log, which no erasure rewrites.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from batch.columns import PLACE_COLUMNS
from batch.errors import LakeError, Overtaken
from batch.files import RECENT, File, file_of, relation_of
from schemas.catalog import Catalog

_CONFIGURATION = {"delta.dataSkippingStatsColumns": "time_ms,appended_ms"}
# Under which name it is noted how many appends there were, of all logs together.
_APPENDS = "appends"

# The like of changes of what was appended; whoever is behind is refused, lease or not.
_CHANGES = "maintenance"

_MAX_CONFLICTS = 8
_BACKOFF_S = 0.05

_WRITER = WriterProperties(compression="ZSTD")


class Lake:
    """The tables of a catalog's archived topics."""

    def __init__(self, directory: Path, catalog: Catalog) -> None:
        self.directory = directory.absolute()
        self.catalog = catalog

    @property
    def topics(self) -> list[str]:
        """The topics that are archived."""
        return [topic.name for topic in self.catalog.topics.values() if topic.archived]

    def table(self, topic: str) -> "Table":
        """A topic's table as it is now.

        Raises:
            LakeError: it cannot be read.
        """
        return Table(self.directory / topic, topic)

    def replace(self, topic: str, removed: Sequence[File], added: Sequence[File]) -> None:
        """Put files in the place of others, however often appends are quicker; with the lease.

        Raises:
            LakeError: the table cannot be written, or somebody else maintains it.
        """
        for attempt in range(_MAX_CONFLICTS):
            try:
                self.table(topic).replace(removed, added)
            except Overtaken:
                time.sleep(_BACKOFF_S * 2**attempt)
            else:
                return
        raise LakeError(
            f"the table of {topic} was changed by others each time: let other jobs finish, then "
            "run this one again"
        )


class Table:
    """One version of a topic's table; empty if nothing was ever archived.

    How far the log is archived is part of each version (Delta's application transactions, one per
    partition), so that rows and offsets cannot disagree, and whoever starts from a version that is
    no longer the newest cannot append.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self.path = path
        self.topic = topic
        try:
            self._delta = DeltaTable(path) if DeltaTable.is_deltatable(str(path)) else None
        except (DeltaError, OSError) as error:
            raise LakeError(f"the table {path} cannot be read: {error}") from error
        self._count = self._reached(_APPENDS)

    def archived(self, incarnation: str, partition: int) -> int:
        """The offset of a log's first record that is not archived."""
        return self._reached(f"{incarnation}/{self.topic}/{partition}")

    def has_others(self, incarnation: str) -> bool:
        """Whether logs of other incarnations were archived into it."""
        return self._reached(_APPENDS) != self._reached(f"{incarnation}/{self.topic}")

    def relations(self, where: str = "true") -> list[str]:
        """Its rows as a relation of DuckDB's SQL; none if it has no files.

        Args:
            where: SQL about `time_ms`; only such rows, and only files that may have some.
        """
        files = self._delta.file_uris(file_pruning_predicate=where) if self._delta else []
        return [relation_of(files, where)] if files else []

    def files(self) -> list[File]:
        """Its files."""
        if self._delta is None:
            return []
        return [
            file_of(action)
            for action in pa.table(self._delta.get_add_actions(flatten=True)).to_pylist()
        ]

    def replace(self, removed: Sequence[File], added: Sequence[File]) -> None:
        """Put files in the place of others, as one commit; for the holder of the lease.

        Appends go on meanwhile, since none of them reads what is removed here.

        Raises:
            Overtaken: somebody else has changed the table; try again on a new version, if what is
                to be removed is still there.
            LakeError: the table cannot be written.
        """
        with self._writing():
            if self._delta is None or not set(removed) <= set(self.files()):
                raise Overtaken(f"files of the table {self.path} were replaced meanwhile")
            is_change = sum(file.rows for file in removed) != sum(file.rows for file in added)
            # Delta does not see by itself that two such commits contradict each other, but that
            # both note the same number.
            number = Transaction(_CHANGES, self._reached(_CHANGES) + 1)
            self._delta.create_write_transaction(
                [
                    *(file.removed(is_change) for file in removed),
                    *(file.added(is_change) for file in added),
                ],
                "append",
                self._delta.schema(),
                list(PLACE_COLUMNS),
                commit_properties=CommitProperties(app_transactions=[number]),
            )

    def vacuum(self, keep: timedelta) -> int:
        """Remove files that have not been part of it for some time; how many; with the lease.

        Raises:
            LakeError: they cannot be removed.
        """
        if self._delta is None:
            return 0
        with self._writing():
            run = partial(
                self._delta.vacuum,
                retention_hours=int(keep / timedelta(hours=1)),
                enforce_retention_duration=False,
                full=True,  # what was written, but never committed, too
            )
            # Delta goes on naming files that were removed earlier.
            removed = [file for file in run(dry_run=True) if (self.path / file).exists()]
            run(dry_run=False)
            # Delta's own log, of which entries are needed until a checkpoint says the same.
            self._delta.create_checkpoint()
            self._delta.cleanup_metadata()
        return len(removed)

    def append(self, rows: pa.Table, incarnation: str, offsets: Mapping[int, range]) -> None:
        """Append rows, and that the log is archived so far, as one commit.

        Args:
            offsets: per partition, those that the rows are made of.

        Raises:
            Overtaken: somebody else committed since this version was opened.
            LakeError: the table cannot be written.
        """
        month, bucket = PLACE_COLUMNS
        placed = rows.append_column(month, pa.repeat(RECENT, len(rows))).append_column(
            bucket, pa.repeat(pa.scalar(0, pa.int32()), len(rows))
        )
        with self._writing():
            # On the version at hand, never by the path, which would mean the newest one: Delta looks
            # for conflicts between that version and its commit only.
            delta = self._delta = self._delta or self._create(placed.schema)
            self._refuse_archived(incarnation, offsets)
            self._count += 1
            write_deltalake(
                delta,
                placed,
                mode="append",
                schema_mode="merge",
                writer_properties=_WRITER,
                commit_properties=CommitProperties(
                    app_transactions=self._transactions(incarnation, offsets)
                ),
            )

    def _create(self, schema: pa.Schema) -> DeltaTable:
        try:
            return DeltaTable.create(
                self.path,
                schema,
                partition_by=list(PLACE_COLUMNS),
                configuration=_CONFIGURATION,
                # A second try would create it once more, on top of another's.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except DeltaError as error:
            if DeltaTable.is_deltatable(str(self.path)):
                raise Overtaken(f"the table {self.path} was created meanwhile") from error
            raise

    def _refuse_archived(self, incarnation: str, offsets: Mapping[int, range]) -> None:
        """The version at hand moves on with each commit, over those of others, too."""
        if self._reached(_APPENDS) != self._count:
            raise Overtaken(f"{self.topic} was archived meanwhile")
        for partition, span in offsets.items():
            if self.archived(incarnation, partition) != span.start:
                raise Overtaken(f"{self.topic}/{partition} was archived meanwhile")

    def _transactions(self, incarnation: str, offsets: Mapping[int, range]) -> list[Transaction]:
        """What one append notes; of two at once, Delta refuses one for having the same notes."""
        log = f"{incarnation}/{self.topic}"
        return [
            Transaction(_APPENDS, self._count),
            Transaction(log, self._reached(log) + 1),
            *(Transaction(f"{log}/{partition}", span.stop) for partition, span in offsets.items()),
        ]

    def _reached(self, application: str) -> int:
        """The number that was noted last under a name; 0 if none was."""
        return (self._delta and self._delta.transaction_version(application)) or 0

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except CommitFailedError as error:
            raise Overtaken(f"the table {self.path} has changed meanwhile: {error}") from error
        except (DeltaError, OSError) as error:
            raise LakeError(f"the table {self.path} cannot be written: {error}") from error
