"""Whatever goes wrong while archiving, every event is in the lake once in the end."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from deltalake import DeltaTable
from lake_events import append_orders, placed, refused

from batch import archive as archiving
from batch import backlog
from batch import lake as lakes
from batch.archive import archive
from batch.errors import LakeError

COUNT = 120


class Crash(BaseException):
    """The end of a process, as far as code can see it."""


@pytest.fixture(autouse=True)
def many_orders(log, monkeypatch):
    monkeypatch.setattr(backlog, "READ_RECORDS", 10)
    monkeypatch.setattr(backlog, "STRETCH_RECORDS", 20)
    for n in range(0, COUNT, 10):
        append_orders(log, *(placed(i) for i in range(n, n + 10)))


@pytest.fixture
def all_once(orders):
    expected = sorted(f"order {n}" for n in range(COUNT))
    return lambda: orders() == expected


def crashing(function, *, before):
    """The function, but it crashes at first, before or after it has done its work."""
    crashes = iter([Crash])

    def call(*args, **kwargs):
        crash = next(crashes, None)
        if crash and before:
            raise crash
        result = function(*args, **kwargs)
        if crash:
            raise crash
        return result

    return call


STEPS = [
    (lakes.DeltaTable, "create"),
    (lakes, "write_deltalake"),
    (archiving.RowMaker, "make"),
    (archiving.Repeats, "drop"),
    (lakes.Table, "append"),
]


@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_crash_at_any_step_repeats_and_loses_nothing(
    owner, step, before, lake, log, all_once, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, crashing(getattr(owner, step), before=before))
        with pytest.raises(Crash):
            archive(lake, log)
    archive(lake, log)
    assert all_once()


@pytest.mark.parametrize("commits", [1, 2, 5])
def test_a_crash_after_some_commits_repeats_nothing(commits, lake, log, all_once):
    seen = []

    def crash(progress):
        seen.append(progress)
        if len(seen) == commits:
            raise Crash

    with pytest.raises(Crash):
        archive(lake, log, crash)
    assert archive(lake, log).total.rows == COUNT - seen[-1].done
    assert all_once()


def test_kill_9_repeats_and_loses_nothing(lake, log, all_once):
    command = [sys.executable, Path(__file__).with_name("archiver.py"), log.path, lake.directory]
    for kill_after in (1, 2):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for _ in range(kill_after):
                assert process.stdout.readline()
            process.kill()
    left = archive(lake, log).total
    assert left.rows < COUNT
    assert left.duplicates == 0
    assert all_once()


def test_an_archiver_that_is_overtaken_goes_on_behind_the_other(lake, log, all_once, monkeypatch):
    monkeypatch.setattr(archiving, "_MAX_CONFLICTS", 1)  # being overtaken is none
    others = []

    def overtake(progress):
        if not others:
            others.append(archive(lake, log).total.rows)

    mine = archive(lake, log, overtake).total.rows
    assert 0 < mine < COUNT
    assert [mine + other for other in others] == [COUNT]
    assert all_once()


def test_an_archiver_may_be_overtaken_by_one_that_knows_of_more(lake, log, orders):
    def overtake(progress):
        append_orders(log, placed(COUNT), placed(COUNT + 1))
        archive(lake, log)

    archive(lake, log, overtake)
    assert orders() == sorted(f"order {n}" for n in range(COUNT + 2))


def test_an_archiver_that_is_overtaken_at_the_very_first_commit_adds_nothing(
    lake, log, all_once, monkeypatch
):
    make = archiving.RowMaker.make
    others = []

    def overtake(maker, stretch):
        if not others:
            others.append(None)
            others[0] = archive(lake, log).total.rows
        return make(maker, stretch)

    monkeypatch.setattr(archiving.RowMaker, "make", overtake)
    assert archive(lake, log).total.rows == 0
    assert others == [COUNT]
    assert all_once()


def test_an_archiver_notices_that_its_table_moved_on_under_it(lake, log, all_once, monkeypatch):
    """Delta's handle is at the newest version after a commit, which may be another's."""
    write = lakes.write_deltalake
    others = []

    def write_and_be_followed(delta, *args, **kwargs):
        write(delta, *args, **kwargs)
        if not others:
            others.append(None)
            others[0] = archive(lake, log).total.rows
            delta.update_incremental()

    monkeypatch.setattr(lakes, "write_deltalake", write_and_be_followed)
    mine = archive(lake, log).total
    assert (mine.rows + others[0], mine.duplicates) == (COUNT, 0)
    assert all_once()


def test_a_table_is_created_once(lake, log, all_once, monkeypatch):
    create = lakes.DeltaTable.create
    others = []

    def create_second(*args, **kwargs):
        if not others:
            others.append(None)
            others[0] = archive(lake, log).total.rows
        return create(*args, **kwargs)

    monkeypatch.setattr(lakes.DeltaTable, "create", create_second)
    assert archive(lake, log).total.rows == 0
    assert all_once()


def test_archivers_at_once_share_the_work(lake, log, all_once):
    start = threading.Barrier(4)
    moved, errors = [], []

    def run():
        start.wait()
        try:
            moved.append(archive(lake, log).total.rows)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(moved) == COUNT
    assert all_once()


def test_appends_while_archiving_are_for_the_next_run_at_the_latest(lake, log, orders):
    def more(progress):
        append_orders(log, placed(COUNT + progress.done))

    first = archive(lake, log, more).total.rows
    second = archive(lake, log).total.rows
    assert first >= COUNT
    assert first + second == len(orders()) == len(set(orders()))


def test_a_table_that_changes_all_the_time_is_given_up_in_the_end(lake, log, monkeypatch):
    def conflict(*args, **kwargs):
        raise lakes.CommitFailedError("a concurrent transaction")

    monkeypatch.setattr(lakes, "write_deltalake", conflict)
    with refused(LakeError, "orders", "archive again"):
        archive(lake, log)


def test_a_full_disk_is_an_error_that_loses_nothing(lake, log, all_once, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lakes, "write_deltalake", full)
        with refused(LakeError, "orders", "No space left"):
            archive(lake, log)
    archive(lake, log)
    assert all_once()


def test_how_far_the_log_is_archived_survives_deltas_housekeeping(lake, log, all_once):
    archive(lake, log)
    delta = DeltaTable(lake.directory / "orders")
    delta.create_checkpoint()
    delta.cleanup_metadata()
    delta.optimize.compact()
    delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert archive(lake, log).total.rows == 0
    assert all_once()
