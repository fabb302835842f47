"""A worker that counts numbers by key, exactly once, until it is ended; see test_kafka_workers.py.

It emits an event for every tenth number of a key: `key:count`.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

import msgspec

from connectors.errors import Fenced
from connectors.log.kafka.log import KafkaLog
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.topics import Topics
from connectors.transport.kafka.commits import Commits, Folded
from connectors.transport.kafka.member import Arrival, Group, Member, Read
from connectors.transport.kafka.ownership import Verdict
from connectors.transport.kafka.recovery import Recovery, changelog
from schemas.topic import Topic
from streams.commit import Commit, Generation
from streams.errors import LogUnavailable
from streams.log import Entry
from streams.state import Change

PARTITIONS = 4
TOPICS = [Topic("numbers", PARTITIONS), Topic("tens", PARTITIONS)]
GROUP = Group("counting", ["numbers"], session_timeout_s=3.0)
GENERATION = Generation("counting", 1)
EVERY = 10
COMMIT_S = 0.02


class Counting:
    """The fold of one partition."""

    def __init__(self, arrival: Arrival) -> None:
        recovered = arrival.rebuilt.recovered()
        self.epoch = arrival.epoch
        self.partition = arrival.partition
        self.offset = recovered.offsets.get("numbers", 0)
        self.counts = {key: msgspec.msgpack.decode(value) for _, key, value in recovered.state}
        self._changed = set()
        self._entries = []

    def fold(self, records) -> None:
        assert records.start <= self.offset, (records.start, self.offset)
        for key in records.since(self.offset).keys:
            count = self.counts[key] = self.counts.get(key, 0) + 1
            self._changed.add(key)
            if count % EVERY == 0:
                value = b"%s:%d" % (key, count)
                self._entries.append(Entry("tens", self.partition, key, value))
        self.offset = max(self.offset, records.next_offset)

    def take(self) -> Folded | None:
        if not self._changed:
            return None
        state = [Change("n", k, msgspec.msgpack.encode(self.counts[k])) for k in self._changed]
        offsets = {"numbers": self.offset}
        commit = Commit(
            GENERATION, self.partition, offsets=offsets, state=state, entries=self._entries
        )
        self._changed, self._entries = set(), []
        return Folded(self.epoch, commit)


class StoppingCommits(Commits):
    """Stops its process within one of its transactions: after the offsets, before the commit."""

    def __init__(self, *args, stop_at: int) -> None:
        super().__init__(*args)
        self._left = stop_at

    def _send_offsets(self, *args) -> None:
        super()._send_offsets(*args)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)


def main(url: str, prefix: str, slot: str, stop_at: str) -> None:
    settings = KafkaSettings.of_url(url, prefix=prefix)
    log = KafkaLog(settings, f"log-{slot}")
    topics = Topics(settings)
    rows = lambda commits: None  # noqa: E731
    commits = StoppingCommits(settings, f"worker-{slot}", topics, rows, stop_at=int(stop_at))
    inbox: SimpleQueue = SimpleQueue()
    recovery = Recovery(settings, GROUP, log, changelog(GENERATION))
    member = Member(settings, GROUP, recovery, inbox.put)
    folds: dict[int, Counting] = {}
    commit_at_s = 0.0
    while True:
        with suppress(Empty):
            receive(inbox.get(timeout=COMMIT_S), folds, member)
        if time.monotonic() >= commit_at_s:
            commit(commits, member, folds)
            commit_at_s = time.monotonic() + COMMIT_S


def receive(got: Arrival | Read, folds: dict[int, Counting], member: Member) -> None:
    if isinstance(got, Arrival):
        folds[got.partition] = Counting(got)
        return
    partition = got.records.partition
    verdict = member.ownership.judge(partition, got.stamp)
    if verdict is Verdict.FOLD:
        assert folds[partition].epoch == got.stamp.epoch
        folds[partition].fold(got.records)
    elif verdict is Verdict.RECOVER:
        member.recover_again(partition)


def commit(commits: Commits, member: Member, folds: dict[int, Counting]) -> None:
    folded = [taken for fold in folds.values() if (taken := fold.take()) is not None]
    while folded:
        try:
            commits.commit(member, folded).result()
        except Fenced as error:
            print("fenced:", error, flush=True)
            os._exit(3)
        except LogUnavailable as error:
            print("again:", error, flush=True)
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BaseException as error:
        print("died:", repr(error), flush=True)
        os._exit(1)
