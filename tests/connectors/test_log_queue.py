"""The bound on what waits to be committed."""

import asyncio
import threading
from contextlib import closing, contextmanager

import pytest
from logs import values
from spill_child import CATALOG, SEEN, entry

from connectors.log.spill import SpillingLog
from connectors.log.spiller import SpillSettings
from connectors.log.sqlite import SqliteLog
from streams.errors import LogUnavailable
from streams.log import Entry

LARGE = Entry("seen", 0, None, bytes(1_000))
MOST_BYTES = 10_000


@pytest.fixture
def log(tmp_path):
    with closing(SqliteLog(tmp_path / "log.db", "NORMAL", 0, MOST_BYTES)) as log:
        log.create([SEEN])
        yield log


@contextmanager
def held_up(log):
    """Meanwhile nothing is committed."""
    begun, go_on = threading.Event(), threading.Event()

    def work(connection):
        begun.set()
        assert go_on.wait(20)

    held = log.write((), work)
    assert begun.wait(20)
    try:
        yield
    finally:
        go_on.set()
        held.result(timeout=10)


def until_ended(log, end):
    """Wait until so many records are in the first partition."""
    while True:
        version = log.version()
        if log.bounds("seen", 0)[1] >= end:
            return
        assert asyncio.run(log.changed(version, 10))


def test_appends_are_refused_while_too_much_waits_and_nothing_that_was_taken_is_lost(log):
    with held_up(log):
        taken = [log.append([LARGE]) for _ in range(MOST_BYTES // 1_000)]
        assert log.queued_bytes == MOST_BYTES
        for _ in range(3):
            error = log.append([LARGE]).exception(timeout=0)
            assert isinstance(error, LogUnavailable)
            assert "wait to be committed" in str(error)
        assert log.queued_bytes == MOST_BYTES
    offsets = [position.offset for future in taken for position in future.result(timeout=10)]
    assert offsets == list(range(10))
    assert [p.offset for p in log.append([LARGE]).result(timeout=10)] == [10]
    log.write((), lambda c: None).result(timeout=10)  # what was before it is accounted for
    assert log.queued_bytes == 0


def test_what_agents_commit_is_not_refused(log):
    with held_up(log):
        log.append([LARGE] * 10)
        committed = log.write([LARGE], lambda c: None)
    assert [p.offset for p in committed.result(timeout=10)] == [10]


def test_an_append_larger_than_the_bound_is_taken_when_nothing_waits(log):
    assert len(log.append([LARGE] * 50).result(timeout=10)) == 50


def test_what_callers_gave_up_and_what_failed_waits_no_longer(log):
    with held_up(log):
        assert log.append([LARGE] * 5).cancel()
        failed = log.append([LARGE._replace(topic="unknown")] * 5)
        assert log.append([LARGE]).exception(timeout=0) is not None
    assert failed.exception(timeout=10) is not None
    log.write((), lambda c: None).result(timeout=10)
    assert log.queued_bytes == 0
    assert values(log, "seen", 0) == []


def test_what_may_spill_is_spilled_and_comes_into_the_log_once(log, tmp_path):
    settings = SpillSettings(retry_s=0.01)
    with closing(SpillingLog(log, CATALOG, tmp_path / "spill", settings)) as spilling:
        with held_up(log):
            log.append([LARGE] * 10)
            spilled = [spilling.append([entry(str(i))]) for i in range(20)]
            assert [list(future.result(timeout=10)) for future in spilled] == [[]] * 20
        until_ended(log, 10 + len(spilled))
    pages = [CATALOG.decoder("seen").one(value).data.page for value in values(log, "seen", 0, 10)]
    assert pages == [str(i) for i in range(20)]
