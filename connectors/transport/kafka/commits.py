"""Commits: what folds did to their partitions, each time in one transaction.

View rows are written before: if the transaction fails they are written again, as they were or newer.
Then state, emitted events and offsets become durable together, if Kafka still knows this worker as
the one that the partitions were given to.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from confluent_kafka import Producer, TopicPartition

from connectors.log.gather import Gathered, Where, sort
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.topics import Topics
from connectors.log.kafka.transactions import Transactions
from connectors.transport.kafka.changelog import records
from connectors.transport.kafka.member import Member
from connectors.transport.kafka.recovery import changelog
from streams.commit import Commit
from streams.errors import LogUnavailable

_GRACE_S = 1.0


class Folded(NamedTuple):
    """What came of a partition under one epoch."""

    epoch: int
    commit: Commit


class Commits:
    """Commits one fold's partitions, one transaction after the other."""

    def __init__(
        self,
        settings: KafkaSettings,
        slot: str,
        topics: Topics,
        write_rows: Callable[[Sequence[Commit]], None],
    ) -> None:
        """Nothing is connected yet.

        Args:
            slot: the name of this worker's place, the same when it is started again: what the one
                before it left open is ended then. No two processes may have the same.
            write_rows: writes the view rows of commits; it may write them again.

        Raises:
            BadLogSettings: no producer can be made of the settings.
        """
        self._topics = topics
        self._timeout_s = settings.timeout_s
        self._write_rows = write_rows
        self._closed = False
        self._transactions = Transactions(settings, slot, topics.name, lambda: not self._closed)
        self._thread = ThreadPoolExecutor(1, "sixfold-commit")

    def close(self) -> None:
        """Finish the commit that is under way, unless Kafka is away."""
        self._closed = True
        self._thread.shutdown()
        self._transactions.close()

    def commit(self, member: Member, folded: Sequence[Folded]) -> "Future[list[Folded]]":
        """Make durable what came of partitions that are still here; those, all or none.

        What came of others is dropped: whoever has them now folds it again.

        Raises (from the future):
            Fenced: nothing has happened; leave, and begin anew.
            LogUnavailable: nothing has happened; try again.
        """
        return self._thread.submit(self._commit, member, folded)

    def _commit(self, member: Member, folded: Sequence[Folded]) -> list[Folded]:
        with member.committing:  # so that no partition is given away within the transaction
            ours = [
                one for one in folded if member.ownership.holds(one.commit.partition, one.epoch)
            ]
            if ours:
                commits = [one.commit for one in ours]
                self._write_rows(commits)
                self._transactions.append(
                    _columns(commits),
                    lambda producer: self._send_offsets(producer, member, commits),
                )
        return ours

    def _send_offsets(self, producer: Producer, member: Member, commits: Sequence[Commit]) -> None:
        offsets = [
            TopicPartition(self._topics.name(topic), commit.partition, offset)
            for commit in commits
            for topic, offset in commit.offsets.items()
        ]
        metadata = member.metadata()
        _within(
            self._timeout_s + _GRACE_S,
            lambda: producer.send_offsets_to_transaction(offsets, metadata, self._timeout_s),
        )


def _within(timeout_s: float, call: Callable[[], None]) -> None:
    """Call something that may never return, on a thread that is then left to itself.

    librdkafka does not keep to its time-out here while the group's coordinator is away, and can miss
    that it is back (its issues 5456 and 5511). The producer is given up after that, so what the call
    does later is of no account.

    Raises:
        LogUnavailable: it has not returned in time.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="sixfold-offsets", daemon=True).start()
    try:
        done.result(timeout_s)
    except TimeoutError as error:
        raise LogUnavailable("the group's coordinator does not answer") from error


def _columns(
    commits: Sequence[Commit],
) -> dict[Where, tuple[list[bytes | None], list[bytes | None]]]:
    gathered = Gathered()
    columns: dict[Where, tuple[list[bytes | None], list[bytes | None]]] = {}
    for commit in commits:
        changes = list(records(commit))
        where = changelog(commit.generation), commit.partition
        columns[where] = [key for key, _ in changes], [value for _, value in changes]
        gathered.add(commit.entries, sort(commit.entries))
    for where, (keys, values) in gathered.columns.items():
        columns[where] = keys, [*values]
    return columns
