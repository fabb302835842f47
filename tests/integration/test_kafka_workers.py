"""Workers that share partitions on Kafka, and die in every way: everything counts exactly once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import kafka_worker_child as child
import msgspec
import pytest
from logs import values

from connectors.log.kafka.log import KafkaLog
from connectors.log.kafka.topics import Topics
from connectors.transport.kafka.changelog import Rebuilt, Record
from connectors.transport.kafka.member import Arrival, Group, Member, Read
from connectors.transport.kafka.recovery import changelog
from schemas.partition import partition_of
from streams.errors import LogUnavailable
from streams.log import Entry

KEYS = [b"k%d" % i for i in range(100)]
TIMEOUT_S = 90


class Workers:
    """Worker processes, by slot; who ends is started again."""

    def __init__(self, kafka, prefix: str, folder: Path) -> None:
        self._kafka = kafka
        self._prefix = prefix
        self._folder = folder
        self._processes: dict[str, subprocess.Popen] = {}

    def start(self, slot: str, stop_at: int = 0) -> None:
        """Start a worker, which may stop itself within a transaction."""
        ours = [self._kafka.url, self._prefix, slot, str(stop_at)]
        command = [sys.executable, child.__file__, *ours]
        with self.output(slot).open("ab") as output:
            self._processes[slot] = subprocess.Popen(command, stdout=output, stderr=output)

    def kill(self, slot: str) -> None:
        self._processes[slot].kill()
        self._processes[slot].wait()

    def signal(self, slot: str, what: signal.Signals) -> None:
        self._processes[slot].send_signal(what)

    def await_stop(self, slot: str) -> None:
        _, status = os.waitpid(self._processes[slot].pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

    def await_end(self, slot: str) -> int:
        return self._processes[slot].wait(TIMEOUT_S)

    def revive(self) -> None:
        """Start those again that have ended, as a supervisor would."""
        for slot, process in self._processes.items():
            if process.poll() is not None:
                self.start(slot)

    def output(self, slot: str) -> Path:
        return self._folder / f"{slot}.log"

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def log(kafka_log, kafka_settings):
    kafka_log.create(child.TOPICS)
    Topics(kafka_settings).create_changelog(changelog(child.GENERATION), child.PARTITIONS)
    return kafka_log


@pytest.fixture
def workers(kafka, kafka_settings, tmp_path):
    with closing(Workers(kafka, kafka_settings.prefix, tmp_path)) as workers:
        yield workers


class Producer:
    """Appends numbers of random keys while the test goes on, in so many appends."""

    def __init__(self, log: KafkaLog, numbers: int, appends: int = 400) -> None:
        self.expected: Counter[bytes] = Counter()
        self._log = log
        self._left = numbers
        self._at_once = numbers // appends
        self._random = random.Random(numbers)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while self._left > 0:
            keys = self._random.choices(KEYS, k=self._at_once)
            self._left -= len(keys)
            entries = [
                Entry("numbers", partition_of(key, child.PARTITIONS), key, b"1") for key in keys
            ]
            while self._log.append(entries).exception(30) is not None:
                time.sleep(0.1)
            self.expected.update(keys)
            time.sleep(0.03)


def durable(log: KafkaLog, partition: int) -> Rebuilt:
    rebuilt = Rebuilt()
    topic = changelog(child.GENERATION)
    offset = 0
    while records := log.read(topic, partition, offset, 1_000):
        rebuilt.apply(map(Record, records.keys, records.values))
        offset = records.next_offset
    return rebuilt


def await_all(log: KafkaLog, workers: Workers) -> list[Rebuilt]:
    """What is durable when everything has been folded."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        try:
            ends = [log.bounds("numbers", partition)[1] for partition in range(child.PARTITIONS)]
            found = [durable(log, partition) for partition in range(child.PARTITIONS)]
        except LogUnavailable:
            found, ends = [], [0]
        if [rebuilt.offsets.get("numbers", 0) for rebuilt in found] == ends:
            return found
        assert time.monotonic() < deadline_s
        workers.revive()
        time.sleep(0.2)


def check(log: KafkaLog, workers: Workers, expected: Counter) -> None:
    """Every number is counted once, and every ten of a key were said once."""
    counted: Counter[bytes] = Counter()
    for rebuilt in await_all(log, workers):
        for _, key, value in rebuilt.recovered().state:
            counted[key] = msgspec.msgpack.decode(value)
    assert counted == expected
    said = [value for p in range(child.PARTITIONS) for value in values(log, "tens", p)]
    assert Counter(said) == Counter(
        b"%s:%d" % (key, n)
        for key, count in expected.items()
        for n in range(child.EVERY, count + 1, child.EVERY)
    )


def test_workers_that_are_killed_and_stopped_count_everything_once(log, workers):
    producer = Producer(log, 200_000)
    workers.start("a")
    workers.start("b")
    time.sleep(4)
    workers.kill("a")
    workers.start("a")
    time.sleep(3)
    workers.signal("b", signal.SIGSTOP)  # past its session: others take its partitions
    time.sleep(child.GROUP.session_timeout_s + 2)
    workers.kill("a")
    workers.signal("b", signal.SIGCONT)
    workers.start("c")
    workers.start("a")
    producer.join()
    check(log, workers, producer.expected)


def test_a_broker_that_is_killed_amid_transactions_loses_and_doubles_nothing(kafka, log, workers):
    producer = Producer(log, 10_000)
    workers.start("a")
    workers.start("b")
    time.sleep(4)
    for _ in range(2):
        kafka.kill()
        kafka.start()
        time.sleep(2)
    producer.join()
    check(log, workers, producer.expected)


def test_a_worker_that_is_stopped_within_a_transaction_commits_nothing_when_it_wakes(log, workers):
    producer = Producer(log, 20_000)
    workers.start("a", stop_at=20)
    workers.await_stop("a")
    workers.start("b")
    producer.join()
    time.sleep(child.GROUP.session_timeout_s + 10)  # past its session and its transaction's time
    workers.signal("a", signal.SIGCONT)
    check(log, workers, producer.expected)
    assert "fenced" in workers.output("a").read_text() or "again" in workers.output("a").read_text()


def test_partitions_of_one_number_are_in_one_hand_whatever_their_topic(log, kafka_settings):
    group = Group("both", ["numbers", "tens"], session_timeout_s=3.0)
    got: dict[str, list[Arrival | Read]] = {"a": [], "b": []}

    def member(name: str) -> Member:
        return Member(kafka_settings, group, lambda partition: Rebuilt(), got[name].append)

    def read(name: str) -> set[tuple[str, int]]:
        reads = [one.records for one in got[name] if isinstance(one, Read)]
        return {(records.topic, records.partition) for records in reads}

    def append_to_all() -> None:
        places = [(t, p) for t in group.topics for p in range(child.PARTITIONS)]
        log.append([Entry(*place, b"k", b"v") for place in places]).result(30)

    def eventually(condition) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

    with closing(member("a")) as first:
        append_to_all()
        eventually(lambda: len(read("a")) == 2 * child.PARTITIONS)
        with closing(member("b")) as second:
            eventually(lambda: len(second.ownership.partitions) == child.PARTITIONS / 2)
            eventually(lambda: len(read("b")) == child.PARTITIONS)
            assert not first.ownership.partitions & second.ownership.partitions
            assert {p for _, p in read("b")} == second.ownership.partitions
            for one in got["a"], got["b"]:  # nothing is read before it has been recovered
                for i, read_ in enumerate(one):
                    if isinstance(read_, Read):
                        epochs = [a.epoch for a in one[:i] if isinstance(a, Arrival)]
                        assert read_.stamp.epoch in epochs
        eventually(lambda: len(first.ownership.partitions) == child.PARTITIONS)
