"""Writing rows: before the transaction that makes a commit's offsets durable."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from cassandra import InvalidRequest

from connectors.store.cassandra.session import Row, Session
from connectors.store.cassandra.tables import view_table
from connectors.store.cassandra.write_time import source_time
from streams.commit import Commit, Generation
from streams.errors import FoldError

_PUBLISH = (
    "UPDATE keyspace.applied USING TIMESTAMP ? SET next = ? "
    "WHERE fold = ? AND number = ? AND topic = ? AND partition = ?"
)


class CassandraRows:
    """Writes what folds have made; it waits for the cluster, so not for event loops."""

    def __init__(self, session: Session, time_of: Callable[[Commit], int] = source_time) -> None:
        """Nothing is written yet.

        Args:
            time_of: the write time of a commit's rows; see write_time.py.
        """
        self._session = session
        self._time_of = time_of

    def put(self, commits: Sequence[Commit]) -> None:
        """Write the rows of commits; it returns when a quorum has them on disk.

        To be called again if it fails, and by whoever folds the same again: that changes nothing.

        Raises:
            StoreUnavailable: some rows may have been written; try again.
            FoldError: another generation has taken the commits' place.
        """
        try:
            self._session.execute_all(self._writes(commits))
        except InvalidRequest as error:
            names = ", ".join(f"{c.generation.fold} {c.generation.number}" for c in commits)
            raise FoldError(
                f"rows of {names} cannot be written ({error}): a newer version of the fold may have "
                "taken its place"
            ) from error

    def publish(self, generation: Generation, partition: int, offsets: Mapping[str, int]) -> None:
        """Let readers know what is applied: after the transaction, and after a recovery.

        It can only be behind: what was applied when a worker died its successor publishes.

        Raises:
            StoreUnavailable: try again.
        """
        self._session.execute_all(
            (_PUBLISH, (next_, next_, *generation, topic, partition))
            for topic, next_ in offsets.items()
        )

    def _writes(self, commits: Sequence[Commit]) -> Iterator[tuple[str, Row]]:
        for commit in commits:
            time = self._time_of(commit)
            for view, rows in commit.rows.items():
                yield from view_table(view, commit.generation.number).writes(rows, time)
