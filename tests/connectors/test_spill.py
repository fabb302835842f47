import os
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import all_records
from prometheus_client import REGISTRY
from spill_child import CATALOG, SEEN, PageSeen, entry

from connectors.errors import SpillInUse
from connectors.log.spill import SpillingLog
from connectors.log.spiller import SpillSettings
from connectors.log.spillfile import Frame, SpillFile
from connectors.log.sqlite import SqliteLog
from schemas.catalog import Catalog
from schemas.envelope import SPECVERSION, encode
from schemas.event import Data, event
from schemas.topic import Topic
from streams.duplicates import Duplicates
from streams.errors import LogUnavailable, UnknownTopic
from streams.log import Entry, Position, Positions

POSTED = Topic("posted", partitions=1, spills=True, deduplicated=True)
ORDERED = Topic("ordered", partitions=1)


@event("page.posted", topic=POSTED, key="page")
class PagePosted(Data):
    """A client posted that somebody looked at a page."""

    page: str


@event("thing.ordered", topic=ORDERED, key="thing")
class ThingOrdered(Data):
    """Somebody waits for a thing."""

    thing: str


ALL = Catalog([data.__event_type__ for data in (PageSeen, PagePosted, ThingOrdered)])
QUICK = SpillSettings(batch_records=10, records_per_s=1_000_000, retry_s=0.005)


class MemoryLog:
    """A log in memory that can be down."""

    def __init__(self):
        self.down = False
        self.entries = []
        self.batches = []

    def append(self, entries):
        future = Future()
        if self.down:
            future.set_exception(LogUnavailable("down"))
        elif entries and entries[0].topic == "unknown":
            future.set_exception(UnknownTopic("unknown"))
        else:
            start = len(self.entries)
            self.entries += entries
            self.batches.append(len(entries))
            future.set_result(Positions(entries, range(start, len(self.entries))))
        return future


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def spilling(log, tmp_path):
    with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)) as spilling:
        yield spilling


def eventually(condition):
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def appended(spilling, *entries):
    return list(spilling.append(entries).result(timeout=10))


def pages(entries):
    return [one.key.decode() for one in entries]


def causes(entries):
    return [CATALOG.decoder("seen").one(one.value).cause for one in entries]


def metric(name):
    return REGISTRY.get_sample_value(name)


# While the log is there


def test_a_log_that_is_there_gets_appends_as_they_are(log, spilling):
    one = entry("a")
    assert appended(spilling, one) == [Position("seen", 0, 0)]
    assert log.entries == [one]


def test_errors_that_waiting_does_not_mend_are_passed_on(spilling):
    failed = spilling.append([Entry("unknown", 0, None, b"")])
    assert isinstance(failed.exception(timeout=10), UnknownTopic)


# While it is down


def test_what_may_not_spill_fails_with_the_log(log, spilling):
    log.down = True
    failed = spilling.append([Entry("ordered", 0, None, b"{}")])
    assert isinstance(failed.exception(timeout=10), LogUnavailable)


def test_an_append_is_spilled_whole_or_not_at_all(log, spilling):
    log.down = True
    failed = spilling.append([entry("a"), Entry("ordered", 0, None, b"{}")])
    assert isinstance(failed.exception(timeout=10), LogUnavailable)
    log.down = False
    appended(spilling, entry("b"))
    assert pages(log.entries) == ["b"]


def test_a_spilled_append_is_acknowledged_without_positions(log, spilling):
    log.down = True
    assert appended(spilling, entry("a")) == []


def test_a_log_that_fails_again_and_again_is_not_asked_for_each_append(log, tmp_path):
    asked = []
    append = log.append
    log.append = lambda entries: asked.append(entries) or append(entries)
    log.down = True
    with closing(SpillingLog(log, ALL, tmp_path / "spill", replace(QUICK, retry_s=60))) as spilling:
        for i in range(20):
            assert appended(spilling, entry(str(i))) == []
        # Three appends, or one or two more while what was spilled was not in the file yet; and the
        # one attempt to drain them.
        assert len(asked) < 8
    log.down = False
    with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)) as spilling:
        eventually(lambda: pages(log.entries) == [str(i) for i in range(20)])
        assert appended(spilling, entry("next")) == [Position("seen", 0, 20)]


def test_what_was_spilled_is_drained_in_order_when_the_log_is_back(log, spilling):
    log.down = True
    for i in range(100):
        spilling.append([entry(str(i)), entry(f"{i}'")])
    appended(spilling, entry("last"))
    log.down = False
    eventually(lambda: len(log.entries) == 201)
    assert pages(log.entries)[:4] == ["0", "0'", "1", "1'"]
    assert pages(log.entries)[-1] == "last"
    assert len(set(pages(log.entries))) == 201


def test_new_appends_do_not_wait_for_what_was_spilled(log, tmp_path):
    slow = SpillSettings(batch_records=1, records_per_s=1, retry_s=0.005)
    with closing(SpillingLog(log, ALL, tmp_path / "spill", slow)) as spilling:
        log.down = True
        for i in range(5):
            appended(spilling, entry(str(i)))
        log.down = False
        eventually(lambda: appended(spilling, entry("new")) != [])  # when the log was found again
    assert "4" not in pages(log.entries)


def test_draining_keeps_to_its_batches_and_its_rate(log, tmp_path):
    bounded = SpillSettings(batch_records=10, records_per_s=200, retry_s=0.005)
    with closing(SpillingLog(log, ALL, tmp_path / "spill", bounded)) as spilling:
        log.down = True
        for i in range(40):
            appended(spilling, entry(str(i)))
        began_s = time.monotonic()
        log.down = False
        eventually(lambda: len(log.entries) == 40)
    assert time.monotonic() - began_s >= 0.15
    assert log.batches == [10, 10, 10, 10]


def test_what_waits_is_counted(log, spilling):
    before = metric("sixfold_spill_pending_events")
    log.down = True
    appended(spilling, entry("a"), entry("b"))
    eventually(lambda: metric("sixfold_spill_pending_events") == before + 2)
    log.down = False
    eventually(lambda: metric("sixfold_spill_pending_events") == before)


# Across restarts


def test_what_waits_survives_a_restart(log, tmp_path):
    log.down = True
    for run in range(3):
        with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)) as spilling:
            appended(spilling, entry(f"{run}a"), entry(f"{run}b"))
    log.down = False
    with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)):
        eventually(lambda: len(log.entries) == 6)
    assert pages(log.entries) == ["0a", "0b", "1a", "1b", "2a", "2b"]
    with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)):
        pass
    assert len(log.entries) == 6


def test_closing_waits_for_appends_that_the_log_has_not_answered(tmp_path):
    class SlowLog(MemoryLog):
        """A log that answers only when it is told to."""

        def append(self, entries):
            self.asked = Future()
            return self.asked

    log = SlowLog()
    spilling = SpillingLog(log, ALL, tmp_path / "spill", QUICK)
    late = spilling.append([entry("late")])
    with pytest.raises(TimeoutError):
        late.result(timeout=0.01)
    log.asked.set_exception(LogUnavailable("down"))
    spilling.close()
    assert late.result(timeout=0) == []
    refused = spilling.append([entry("after")])
    assert isinstance(refused.exception(timeout=10), LogUnavailable)
    with closing(SpillFile(tmp_path / "spill", 1 << 20)) as file:
        assert file.pending == 1


def test_a_spill_file_belongs_to_one_process(spilling, log, tmp_path):
    with pytest.raises(SpillInUse, match="of its own"):
        SpillingLog(log, ALL, tmp_path / "spill", QUICK)


# Recognised


def fresh(entries):
    """The pages that a fold takes as new, for each partition a fold of its own."""
    found = []
    for partition in range(SEEN.partitions):
        duplicates = Duplicates("fold", lambda topic, ids: set(), frozenset())
        values = [one.value for one in entries if one.partition == partition]
        events = CATALOG.decoder("seen").many(values)
        new = duplicates.unseen("seen", events, 0)
        found += [event.data.page for event, is_new in zip(events, new, strict=True) if is_new]
    return found


def crash_after_append(monkeypatch):
    """The process dies between the append of a batch and the note of it."""
    monkeypatch.setattr(SpillFile, "drop", lambda self, stretch: (_ for _ in ()).throw(OSError))


def test_what_a_crash_repeats_counts_once(log, tmp_path, monkeypatch):
    log.down = True
    with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)) as spilling:
        for i in range(20):
            appended(spilling, entry(str(i), partition=i % 2))
    log.down = False
    with monkeypatch.context() as crashing:
        crash_after_append(crashing)
        with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)):
            eventually(lambda: len(log.entries) >= 10)
    repeated = len(log.entries)
    with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)):
        eventually(lambda: len(log.entries) >= repeated + 20)
    assert Counter(fresh(log.entries)) == Counter(str(i) for i in range(20))


def test_an_event_that_has_a_cause_keeps_it(log, spilling):
    log.down = True
    appended(spilling, entry("a", cause="orders/0/7"), entry("b"))
    log.down = False
    eventually(lambda: len(log.entries) == 2)
    kept, given = causes(log.entries)
    assert kept == "orders/0/7"
    assert Position.parse(given)[1:] == (0, 1)
    assert given.startswith("spill-")


def test_an_event_that_is_known_by_its_id_gets_no_cause(log, spilling):
    posted = ALL.envelope(PagePosted)(
        specversion=SPECVERSION,
        id="some-id",
        source="client/key",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        tenant="t",
        data=PagePosted("a"),
    )
    ours = msgspec.structs.replace(posted, source="gateway/1")
    log.down = True
    appended(spilling, *(Entry("posted", 0, b"a", encode(event)) for event in (posted, ours)))
    log.down = False
    eventually(lambda: len(log.entries) == 2)
    known, caused = ALL.decoder("posted").many([entry.value for entry in log.entries])
    assert known == posted
    assert caused.cause is not None


def test_a_malformed_record_is_drained_as_it_is(log, spilling):
    log.down = True
    appended(spilling, Entry("seen", 0, None, b"{malformed"), entry("b"))
    log.down = False
    eventually(lambda: len(log.entries) == 2)
    assert log.entries[0].value == b"{malformed"


# The file


def frame(first, *values):
    return Frame("series", first, [Entry("seen", 0, None, value) for value in values])


def held(path):
    with closing(SpillFile(path, 1 << 20)) as file:
        found = file.oldest(1_000).frames
        assert sum(len(f.entries) for f in found) == file.pending
        return [one.value for f in found for one in f.entries]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_end_is_cut_off_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("torn") / "spill"
    frames = [frame(i, b"%d" % i * (i + 1)) for i in range(4)]
    ends = []
    with closing(SpillFile(path, 1 << 20)) as file:
        for one in frames:
            file.put(one)
            ends.append(path.stat().st_size)
    size = data.draw(st.integers(16, ends[-1]))
    damaged = path.read_bytes()[:size]
    damaged += data.draw(st.binary(max_size=40))
    path.write_bytes(damaged)
    whole = sum(end <= size for end in ends)
    expected = [b"%d" % i * (i + 1) for i in range(whole)]
    assert held(path) == expected
    with closing(SpillFile(path, 1 << 20)) as file:
        file.put(frame(9, b"after"))
    assert held(path) == [*expected, b"after"]


def test_a_damaged_frame_is_not_read(tmp_path):
    path = tmp_path / "spill"
    with closing(SpillFile(path, 1 << 20)) as file:
        file.put(frame(0, b"good"))
        at = path.stat().st_size
        file.put(frame(1, b"bad"))
    damaged = bytearray(path.read_bytes())
    damaged[at + 12] ^= 1
    path.write_bytes(damaged)
    assert held(path) == [b"good"]


def test_what_was_dropped_does_not_come_back_and_the_file_shrinks(tmp_path):
    path = tmp_path / "spill"
    with closing(SpillFile(path, 1 << 20)) as file:
        empty = path.stat().st_size
        for i in range(3):
            file.put(frame(i, b"%d" % i))
        file.drop(file.oldest(1))
    assert held(path) == [b"1", b"2"]
    with closing(SpillFile(path, 1 << 20)) as file:
        file.drop(file.oldest(10))
        assert path.stat().st_size == empty
    assert held(path) == []


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "spill").write_bytes(b"something else altogether")
    with pytest.raises(OSError, match="no spill file"):
        SpillFile(tmp_path / "spill", 1 << 20)


# No room in the file


TINY = SpillSettings(max_file_bytes=1_000, max_memory_bytes=3_000, batch_records=4, retry_s=0.005)


def test_memory_takes_what_the_file_cannot_and_what_is_beyond_is_refused_and_counted(log, tmp_path):
    refused_before = metric("sixfold_spill_refused_events_total")
    log.down = True
    with closing(SpillingLog(log, ALL, tmp_path / "spill", TINY)) as spilling:
        futures = {str(i): spilling.append([entry(str(i))]) for i in range(60)}
        eventually(lambda: any(f.done() and f.exception() for f in futures.values()))
        log.down = False
        for future in futures.values():
            future.exception(timeout=10)
    refused = [page for page, future in futures.items() if future.exception()]
    kept = [page for page in futures if page not in refused]
    refused_events = metric("sixfold_spill_refused_events_total") - refused_before
    assert refused_events == len(refused) > 0
    assert [page for page in pages(log.entries) if page in kept] == kept
    assert Counter(fresh(log.entries)) == Counter(kept)


def test_what_is_only_in_memory_is_not_acknowledged_until_it_is_durable(log, tmp_path, monkeypatch):
    log.down = True
    full = [True]
    put = SpillFile.put

    def refuse(self, frame):
        if full:
            raise OSError(28, "No space left on device")
        put(self, frame)

    monkeypatch.setattr(SpillFile, "put", refuse)
    with closing(SpillingLog(log, ALL, tmp_path / "spill", QUICK)) as spilling:
        waiting = spilling.append([entry("a")])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.05)
        full.clear()
        assert waiting.result(timeout=10) == []
    assert held(tmp_path / "spill") != []


def test_what_finds_no_room_until_the_end_fails(log, tmp_path):
    nothing = SpillSettings(max_file_bytes=0, retry_s=0.005)
    log.down = True
    spilling = SpillingLog(log, ALL, tmp_path / "spill", nothing)
    waiting = spilling.append([entry("a")])
    spilling.close()
    assert isinstance(waiting.exception(timeout=10), LogUnavailable)


# Killed


CHILD = Path(__file__).with_name("spill_child.py")


def run_child(directory, run, events):
    return subprocess.Popen(
        [sys.executable, CHILD, directory, run, str(events)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize(
    "kills", [3, pytest.param(100, marks=pytest.mark.soak)], ids=["few", "many"]
)
def test_kills_at_random_moments_lose_nothing_and_count_nothing_twice(tmp_path, kills):
    randomly = random.Random(kills)
    told = []
    for run in range(kills):
        with run_child(tmp_path, f"run{run}", 1_000_000) as process:
            lines = [process.stdout.readline() for _ in range(randomly.randrange(1, 200))]
            process.kill()
            lines += process.stdout.readlines()
        told += [line.decode().strip() for line in lines if line.endswith(b"\n")]
    with closing(SqliteLog(tmp_path / "log.db", watermark_bytes=0)) as log:
        before = metric("sixfold_spill_pending_events")
        with closing(SpillingLog(log, CATALOG, tmp_path / "spill", QUICK)):
            eventually(lambda: metric("sixfold_spill_pending_events") == before)
        entries = [
            Entry("seen", partition, key, value)
            for partition in range(SEEN.partitions)
            for _, key, value in all_records(log, "seen", partition)
        ]
    assert any(causes(entries)), "nothing was spilled"
    counted = Counter(fresh(entries))
    assert set(counted.values()) == {1}
    assert set(told) <= set(counted)
