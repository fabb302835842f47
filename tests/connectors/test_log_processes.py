"""Processes that die, and processes that append at once."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from log_child import TOPIC

from connectors.log.sqlite import SqliteLog
from streams.log import Entry

CHILD = Path(__file__).with_name("log_child.py")
ENDLESS = 1_000_000


def child(path, run, batches):
    return subprocess.Popen(
        [sys.executable, CHILD, path, run, str(batches)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def acknowledged(lines):
    """(partition, offset) → value, of whole lines."""
    return {
        (partition, offset): value
        for line in lines
        if line.endswith(b"\n")
        for partition, offset, value in msgspec.json.decode(line)
    }


def contents(path):
    """(partition, offset) → value, of all of the log; offsets are dense."""
    log = SqliteLog(path)
    found = {}
    for partition in range(TOPIC.partitions):
        offset, end = log.bounds("t", partition)
        assert offset == 0
        while (records := log.read("t", partition, offset, 1_000)) is not None:
            assert list(records.offsets) == list(range(offset, records.next_offset))
            for at, value in zip(records.offsets, records.values, strict=True):
                found[partition, at] = value.decode()
            offset = records.next_offset
        assert offset == end
    log.close()
    return found


def assert_whole(found):
    """No record is there twice, and no batch in part."""
    assert len(set(found.values())) == len(found)
    values = [value.split("/") for value in found.values()]
    batches = Counter((run, batch, int(records)) for run, batch, _, records in values)
    assert all(there == records for (_, _, records), there in batches.items())


def killed_at_random(path, kills, seed):
    """What was acknowledged by processes that were killed, one after the other."""
    randomly = random.Random(seed)
    told = {}
    for run in range(kills):
        with child(path, f"run{run}", ENDLESS) as process:
            lines = [process.stdout.readline() for _ in range(randomly.randrange(1, 300))]
            process.kill()
            lines += process.stdout.readlines()
        told |= acknowledged(lines)
    return told


@pytest.mark.parametrize(
    "kills", [4, pytest.param(150, marks=pytest.mark.soak)], ids=["few", "many"]
)
def test_what_was_acknowledged_is_there_once_after_kills_at_random_moments(tmp_path, kills):
    told = killed_at_random(tmp_path / "log.db", kills, seed=kills)
    found = contents(tmp_path / "log.db")
    assert told.items() <= found.items()
    assert_whole(found)


@pytest.mark.parametrize(
    "batches", [200, pytest.param(20_000, marks=pytest.mark.soak)], ids=["few", "many"]
)
def test_two_processes_append_at_once_without_gaps_or_losses(tmp_path, batches):
    with (
        child(tmp_path / "log.db", "a", batches) as first,
        child(tmp_path / "log.db", "b", batches) as second,
    ):
        told = acknowledged(first.communicate()[0].splitlines(keepends=True))
        others = acknowledged(second.communicate()[0].splitlines(keepends=True))
    assert first.returncode == second.returncode == 0
    assert len(told) + len(others) == len(told | others)
    assert contents(tmp_path / "log.db") == told | others


APPEND_WHEN_TOLD = """
import sys, time
from pathlib import Path
from connectors.log.sqlite import SqliteLog
from streams.log import Entry
log = SqliteLog(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
log.append([Entry("t", 0, None, b"from afar")]).result()
print(time.monotonic(), flush=True)
sys.stdin.readline()
"""


def test_another_process_is_noticed_soon(tmp_path):
    log = SqliteLog(tmp_path / "log.db")
    log.create([TOPIC])
    other = subprocess.Popen(
        [sys.executable, "-c", APPEND_WHEN_TOLD, log.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    async def noticed_s():
        version = log.version()
        changed = asyncio.create_task(log.changed(version, timeout_s=30))
        other.stdin.write("go\n")
        other.stdin.flush()
        assert await changed
        return time.monotonic()

    with other:
        assert other.stdout.readline() == "ready\n"
        at_s = asyncio.run(noticed_s())
        assert at_s - float(other.stdout.readline()) < 0.2
        assert log.read("t", 0, 0, 1).values == [b"from afar"]
        other.stdin.close()
    log.close()


@pytest.mark.parametrize("processes", [4])
def test_processes_that_open_a_new_log_at_once_agree_on_it(tmp_path, processes):
    children = [child(tmp_path / "log.db", str(run), 3) for run in range(processes)]
    told = {}
    for process in children:
        with process:
            told |= acknowledged(process.stdout.readlines())
        assert process.returncode == 0
    assert contents(tmp_path / "log.db") == told


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_is_told_to_open_the_log_anew(tmp_path):
    log = SqliteLog(tmp_path / "log.db")
    log.create([TOPIC])
    reading, writing = os.pipe()
    child_id = os.fork()
    if child_id == 0:
        error = log.append([Entry("t", 0, None, b"x")]).exception(timeout=10)
        os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(child_id, 0)
    assert b"open it anew" in os.read(reading, 1_000)
    os.close(reading)
    os.close(writing)
    log.close()
