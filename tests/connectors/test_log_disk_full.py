import os
import subprocess
from contextlib import closing

import pytest
from logs import values

from connectors.log import room
from connectors.log.room import Room
from connectors.log.sqlite import SqliteLog
from schemas.topic import Topic
from streams.errors import LogUnavailable
from streams.log import Entry

BATCH = [Entry("t", 0, None, b"%d" % i * 1_000) for i in range(50)]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path], check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("may not mount a small disk here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def opened(directory, watermark_bytes=0):
    log = SqliteLog(directory / "log.db", watermark_bytes=watermark_bytes)
    log.create([Topic("t", partitions=1)])
    return closing(log)


def append_until_full(log):
    """Append batches until the disk is full; how many were acknowledged."""
    for batches in range(1_000):
        error = log.append(BATCH).exception(timeout=10)
        if error is not None:
            assert isinstance(error, LogUnavailable)
            assert "full" in str(error)
            return batches
    raise AssertionError("the disk never got full")


def assert_holds(log, batches):
    """The log holds as many whole batches as were acknowledged, and no more."""
    assert values(log, "t", 0) == [entry.value for entry in BATCH] * batches
    assert log.bounds("t", 0) == (0, len(BATCH) * batches)


def test_a_full_disk_refuses_appends_whole_until_there_is_room_again(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    with opened(small_disk) as log:
        batches = append_until_full(log)
        assert_holds(log, batches)
        ballast.unlink()
        log.append(BATCH).result(timeout=10)
        assert_holds(log, batches + 1)
    with opened(small_disk) as log:
        assert_holds(log, batches + 1)


def test_a_full_disk_fails_many_appends_at_once_and_no_more(small_disk):
    with opened(small_disk) as log:
        futures = [log.append(BATCH) for _ in range(200)]
        failed = [future.exception(timeout=10) for future in futures]
        assert any(failed)
        assert_holds(log, failed.count(None))


def test_a_file_that_may_not_grow_refuses_appends_whole(tmp_path):
    with opened(tmp_path) as log:
        log.write((), lambda c: c.execute("PRAGMA max_page_count=200")).result(timeout=10)
        batches = append_until_full(log)
        assert_holds(log, batches)
        log.write((), lambda c: c.execute("PRAGMA max_page_count=100000")).result(timeout=10)
        log.append(BATCH).result(timeout=10)
        assert_holds(log, batches + 1)


def test_the_watermark_refuses_appends_but_not_what_must_go_on(tmp_path):
    with opened(tmp_path, watermark_bytes=1 << 60) as log:
        error = log.append(BATCH).exception(timeout=10)
        assert isinstance(error, LogUnavailable)
        assert "free some space" in str(error)
        log.write(BATCH).result(timeout=10)
        assert_holds(log, 1)


def free(monkeypatch, size_bytes):
    usage = type("Usage", (), {"free": size_bytes})
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(room, "_CHECK_S", 0.0)


@pytest.mark.parametrize(
    ("free_mb", "reusable_mb", "may_append"),
    [(300, 0, True), (200, 0, False), (200, 100, True), (50, 10_000, False)],
)
def test_room_within_the_file_counts_while_the_wal_has_room(
    monkeypatch, tmp_path, free_mb, reusable_mb, may_append
):
    free(monkeypatch, free_mb << 20)
    watched = Room(tmp_path, 256 << 20, lambda: reusable_mb << 20)
    assert (watched.refusal() is None) == may_append


def test_a_disk_that_is_gone_refuses_appends(tmp_path):
    watched = Room(tmp_path / "gone", 0, lambda: 0)
    assert "cannot be looked at" in watched.refusal()


def test_what_retention_has_freed_within_the_file_is_room(monkeypatch, tmp_path):
    with opened(tmp_path, watermark_bytes=66 << 20) as log:
        log.write([Entry("t", 0, None, bytes(3 << 20))]).result(timeout=10)
        free(monkeypatch, 64 << 20)
        assert log.append(BATCH).exception(timeout=10) is not None
        log.write((), lambda c: c.execute("DELETE FROM segment")).result(timeout=10)
        assert log.append(BATCH).exception(timeout=10) is None
