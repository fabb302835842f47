import asyncio
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import all_records, done, segments, values

from connectors.log.compaction import compaction_steps
from connectors.log.forgetting import REMEMBERED_MS, forgetting_steps
from connectors.log.merging import Merging
from connectors.log.retention import DAY_MS, retention_steps
from connectors.log.segment import MAX_BYTES, MAX_RECORDS
from connectors.log.sqlite import SqliteLog
from connectors.log.upkeep import Upkeep, UpkeepSettings
from schemas.topic import Topic
from streams.errors import LogUnavailable
from streams.log import Entry

TOPICS = [
    Topic("t", partitions=1, retention_days=1),
    Topic("keyed", partitions=1, compacted=True),
]
LONG_AGO_MS = 0
IN_A_YEAR_MS = 4_000_000_000_000


@contextmanager
def opened(directory):
    with closing(SqliteLog(directory / "log.db", "NORMAL", watermark_bytes=0)) as log:
        log.create(TOPICS)
        yield log


@pytest.fixture
def log(tmp_path):
    with opened(tmp_path) as log:
        yield log


def append(log, topic, *keys_and_values):
    """One append, and so a segment of its own."""
    entries = [
        Entry(topic, 0, key and key.encode(), value.encode()) for key, value in keys_and_values
    ]
    log.append(entries).result(timeout=10)


def everything(topic, partition):
    return 1 << 39


def up_to(offset):
    return lambda topic, partition: offset


def retain(log, droppable=everything, now_ms=IN_A_YEAR_MS):
    return done(log, retention_steps(log.reader, {"t": 1}, droppable, now_ms))


def compact(log, droppable=everything):
    return done(log, compaction_steps(log.reader, frozenset({"keyed"}), droppable))


# Merging


def test_merging_keeps_every_record_at_its_offset(log):
    for i in range(100):
        append(log, "t", ("k", str(i)))
    before = list(all_records(log, "t", 0))
    done(log, Merging(log.reader, {}).steps())
    assert list(all_records(log, "t", 0)) == before
    assert len(segments(log)) < 10


def test_merging_takes_up_where_it_stopped(log):
    merging = Merging(log.reader, {})
    for i in range(64):
        append(log, "t", ("k", str(i)))
        done(log, merging.steps())
    assert done(log, merging.steps()) == 0
    assert values(log, "t", 0) == [b"%d" % i for i in range(64)]
    assert len(segments(log)) <= 16


def test_merging_leaves_alone_what_somebody_rewrote_meanwhile(log):
    for i in range(16):
        append(log, "t", ("k", str(i)))
    step = next(Merging(log.reader, {}).steps())
    log.write((), lambda c: c.execute("DELETE FROM segment WHERE id & 0xff = 7")).result(timeout=10)
    log.write((), step).result(timeout=10)
    assert [offset for offset, _, _ in all_records(log, "t", 0)] == [*range(7), *range(8, 16)]


def test_a_log_with_more_segments_than_one_look_takes_is_merged_whole(log):
    rows = [(1 << 40 | i, 1, 0) for i in range(1_700)]

    def many(connection):
        append_body = connection.execute("SELECT body FROM segment").fetchone()[0]
        connection.execute("DELETE FROM segment")
        connection.executemany(
            "INSERT INTO segment VALUES (?, ?, ?, ?)", [(*row, append_body) for row in rows]
        )
        connection.execute("UPDATE partition SET next = 1700 WHERE id = 1")

    append(log, "t", ("k", "v"))
    log.write((), many).result(timeout=10)
    done(log, Merging(log.reader, {}).steps())
    assert [offset for offset, _, _ in all_records(log, "t", 0)] == list(range(1_700))
    assert len(segments(log)) < 10


# Retention


def test_retention_drops_old_segments_and_says_where_the_partition_begins(log):
    append(log, "t", ("k", "a"), ("k", "b"))
    append(log, "t", ("k", "c"))
    assert retain(log, up_to(2)) == 1
    assert log.bounds("t", 0) == (2, 3)
    assert list(all_records(log, "t", 0)) == [(2, b"k", b"c")]


def test_retention_drops_no_segment_that_is_needed_in_part(log):
    append(log, "t", ("k", "a"), ("k", "b"))
    assert retain(log, up_to(1)) == 0
    assert log.bounds("t", 0) == (0, 2)


def test_retention_keeps_what_is_young_and_topics_without_an_age(log):
    append(log, "t", ("k", "a"))
    append(log, "keyed", ("k", "a"))
    assert retain(log, now_ms=LONG_AGO_MS) == 0
    retain(log)
    assert values(log, "t", 0) == []
    assert values(log, "keyed", 0) == [b"a"]


def test_an_emptied_partition_goes_on_at_its_offset(log):
    append(log, "t", ("k", "a"), ("k", "b"))
    retain(log)
    assert log.bounds("t", 0) == (2, 2)
    assert log.read("t", 0, 0, 10) is None
    append(log, "t", ("k", "c"))
    assert list(all_records(log, "t", 0)) == [(2, b"k", b"c")]


def test_retention_takes_small_steps(log):
    for _ in range(10):
        append(log, "t", ("k", "x" * MAX_BYTES))
    assert retain(log) >= 5
    assert values(log, "t", 0) == []


# Compaction


def test_compaction_keeps_the_newest_record_of_each_key_at_its_offset(log):
    append(log, "keyed", ("a", "1"), ("b", "1"), ("a", "2"))
    append(log, "keyed", ("a", "3"), (None, "without"), ("c", "1"), ("a", "4"))
    compact(log)
    assert list(all_records(log, "keyed", 0)) == [
        (1, b"b", b"1"),
        (4, None, b"without"),
        (5, b"c", b"1"),
        (6, b"a", b"4"),
    ]
    assert log.bounds("keyed", 0) == (0, 7)


def test_compaction_reads_from_offsets_that_are_gone_go_on_behind_the_gap(log):
    append(log, "keyed", *[("a", str(i)) for i in range(5)])
    append(log, "keyed", ("b", "x"), *[("a", str(i)) for i in range(5)])
    compact(log)
    for offset in range(6):
        assert [o for o, _, _ in all_records(log, "keyed", 0, offset)] == [5, 10]
    for offset in range(6, 11):
        assert [o for o, _, _ in all_records(log, "keyed", 0, offset)] == [10]


def test_compaction_drops_nothing_that_is_still_needed(log):
    append(log, "keyed", ("a", "1"), ("a", "2"), ("a", "3"))
    compact(log, up_to(2))
    assert values(log, "keyed", 0) == [b"2", b"3"]


def test_compaction_goes_on_where_it_stopped(log):
    append(log, "keyed", ("a", "1"), ("b", "1"))
    compact(log)
    append(log, "keyed", ("a", "2"), ("c", "1"))
    compact(log)
    assert values(log, "keyed", 0) == [b"1", b"2", b"1"]
    assert compact(log) == 0


def test_compaction_waits_until_there_is_as_much_new_as_old(log):
    append(log, "keyed", *[(str(i), "1") for i in range(100)])
    compact(log)
    append(log, "keyed", ("1", "2"))
    assert compact(log) == 0
    append(log, "keyed", *[("1", "3")] * 99)
    compact(log)
    assert len(values(log, "keyed", 0)) == 100


def test_compaction_of_more_keys_than_are_remembered_takes_several_passes(log, monkeypatch):
    monkeypatch.setattr("connectors.log.compaction._MAX_KEYS", 4)
    for i in range(12):
        append(log, "keyed", (str(i % 4), str(i)))
    while compact(log):
        pass
    assert values(log, "keyed", 0) == [b"8", b"9", b"10", b"11"]


# Any order of everything


APPEND = st.tuples(
    st.just("append"),
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=4),
    st.sampled_from((1, 1, 1, MAX_RECORDS // 5)),
)
JOB = st.tuples(st.sampled_from(("merge", "compact", "retain")), st.integers(0, 60))
READ = st.tuples(st.just("read"), st.integers(1, 50))
ORDERS = st.lists(st.one_of(APPEND, APPEND, JOB, JOB, READ), max_size=40)


class Schedule:
    """Plays operations on one partition, with a reader who goes on between any two steps."""

    def __init__(self, log):
        self.log = log
        self.merging = Merging(log.reader, {})
        self.appended = []
        self.kept = {}
        self.read = {}
        self.position = 0

    def play(self, operation):
        match operation:
            case ("append", keys, times):
                values = [(key, f"{len(self.appended) + i}") for i, key in enumerate(keys * times)]
                append(self.log, "keyed", *values)
                for key, value in values:
                    self.kept[len(self.appended)] = (key.encode(), value.encode())
                    self.appended.append((key.encode(), value.encode()))
            case ("read", at_once):
                self.go_on_reading(at_once)
            case ("merge", _):
                self.take(self.merging.steps())
            case ("compact", bound):
                compacted = compaction_steps(
                    self.log.reader, frozenset({"keyed"}), up_to(bound * 20)
                )
                if self.take(compacted):
                    self.compact_kept(min(bound * 20, len(self.appended)))
                    self.merging.revisit(frozenset({"keyed"}))
            case ("retain", bound):
                before, _ = self.log.bounds("keyed", 0)
                self.take(
                    retention_steps(self.log.reader, {"keyed": 1}, up_to(bound), IN_A_YEAR_MS)
                )
                first, _ = self.log.bounds("keyed", 0)
                assert first <= max(before, bound)
                self.kept = {o: record for o, record in self.kept.items() if o >= first}

    def take(self, steps):
        wrote = 0
        for step in steps:
            if step is not None:
                self.log.write((), step).result(timeout=10)
                wrote += 1
            self.go_on_reading(at_once=7)
        return wrote

    def compact_kept(self, end):
        newest = {key: offset for offset, (key, _) in self.kept.items() if offset < end}
        self.kept = {o: r for o, r in self.kept.items() if o >= end or newest[r[0]] == o}

    def go_on_reading(self, at_once):
        records = self.log.read("keyed", 0, self.position, at_once)
        if records is not None:
            assert list(records.offsets) == sorted(set(records.offsets))
            assert records.offsets[0] >= self.position
            read = zip(records.keys, records.values, strict=True)
            self.read |= dict(zip(records.offsets, read, strict=True))
            self.position = records.next_offset

    def check(self):
        found = [(offset, (key, value)) for offset, key, value in all_records(self.log, "keyed", 0)]
        assert found == sorted(self.kept.items())
        offsets = [offset for offset, _ in found]
        for start in {0, 1, *(o + d for o in offsets[:20] for d in (-1, 0, 1) if o + d >= 0)}:
            assert [o for o, _, _ in all_records(self.log, "keyed", 0, start, 3)] == [
                offset for offset in offsets if offset >= start
            ]
        while self.position < len(self.appended) and self.log.read("keyed", 0, self.position, 1):
            self.go_on_reading(at_once=100)
        # The reader missed nothing that is there, and saw nothing that was not appended.
        assert self.kept.items() <= self.read.items()
        assert self.read.items() <= dict(enumerate(self.appended)).items()


def play(operations):
    with tempfile.TemporaryDirectory() as directory, opened(Path(directory)) as log:
        schedule = Schedule(log)
        for operation in operations:
            schedule.play(operation)
        schedule.check()


@settings(max_examples=30, deadline=None)
@given(ORDERS)
def test_in_any_order_of_jobs_readers_see_every_surviving_record_once(operations):
    play(operations)


@pytest.mark.soak
@settings(max_examples=3_000, deadline=None)
@given(ORDERS)
def test_in_very_many_orders_of_jobs_readers_see_every_surviving_record_once(operations):
    play(operations)


# Forgetting


def remember(log, rows):
    def insert(connection):
        connection.executemany("INSERT INTO seen VALUES ('t', 1, ?, 'acme', ?)", rows)

    log.write((), insert).result(timeout=10)


def test_ids_are_forgotten_after_7_days(log):
    remember(log, [(f"{i:05}", i) for i in range(5_000)])
    assert done(log, forgetting_steps(log.reader, now_ms=REMEMBERED_MS + 4_990)) == 3
    left = log.reader().execute("SELECT id FROM seen").fetchall()
    assert left == [(f"{i:05}",) for i in range(4_990, 5_000)]


def test_where_nothing_is_old_nothing_is_written(log):
    remember(log, [(str(i), DAY_MS) for i in range(10)])
    assert done(log, forgetting_steps(log.reader, now_ms=2 * DAY_MS)) == 0


# The loop


def test_upkeep_does_everything_in_its_time_beside_appends(tmp_path, monkeypatch):
    monkeypatch.setattr("connectors.log.upkeep._now_ms", lambda: IN_A_YEAR_MS)
    with opened(tmp_path) as log:
        for i in range(50):
            append(log, "keyed", ("k", str(i)))
        append(log, "t", ("k", "old"))
        remember(log, [("a", 0)])
        wal = tmp_path / "log.db-wal"

        def is_done():
            return (
                values(log, "t", 0) == []
                and values(log, "keyed", 0) == [b"49"]
                and log.reader().execute("SELECT * FROM seen").fetchone() is None
                and wal.stat().st_size == 0
            )

        async def run():
            upkeep = Upkeep(log, TOPICS, everything, UpkeepSettings(0.01, 0.01, 0.01, 0.0))
            running = asyncio.create_task(upkeep.run())
            async with asyncio.timeout(20):
                while not is_done():
                    assert not running.done()
                    await asyncio.sleep(0.005)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        asyncio.run(run())


def test_upkeep_goes_on_when_the_log_was_away_for_a_while(log):
    async def run():
        upkeep = Upkeep(log, TOPICS, unavailable_once(), UpkeepSettings(0.01, 0.01, 60.0, 0.0))
        append(log, "keyed", ("k", "1"), ("k", "2"))
        running = asyncio.create_task(upkeep.run())
        async with asyncio.timeout(20):
            while values(log, "keyed", 0) != [b"2"]:
                await asyncio.sleep(0.005)
        running.cancel()

    asyncio.run(run())


def unavailable_once():
    failures = [LogUnavailable("away")]

    def droppable(topic, partition):
        if failures:
            raise failures.pop()
        return everything(topic, partition)

    return droppable
