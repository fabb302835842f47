"""The client's spill: a queue in a file."""

import errno
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.client.errors import DamagedSpill, SpillInUse
from sixfold.client.spill import Spill

EVENTS = [b"first", b"second", b"third"]
ALL = (1_000, 1 << 20)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spill"


def left_in(path):
    with closing(Spill(path)) as spill:
        return spill.peek(*ALL)


def push(path, *events):
    with closing(Spill(path)) as spill:
        spill.push(events)


def test_an_empty_spill_leaves_no_file(path):
    with closing(Spill(path)) as spill:
        assert not spill
        assert spill.peek(*ALL) == []
    assert not path.exists()


def test_what_is_not_popped_waits_for_the_next(path):
    with closing(Spill(path)) as spill:
        spill.push(EVENTS)
        spill.pop(spill.peek(1, 1 << 20))
    assert left_in(path) == EVENTS[1:]


def test_a_drained_spill_gives_its_room_back(path):
    with closing(Spill(path)) as spill:
        empty_bytes = path.stat().st_size
        spill.push(EVENTS)
        spill.pop(spill.peek(*ALL))
        assert path.stat().st_size == empty_bytes
        spill.push([b"again"])
        assert spill.peek(*ALL) == [b"again"]


def test_peek_keeps_to_its_bytes_but_returns_one_at_least(path):
    with closing(Spill(path)) as spill:
        spill.push([b"12345", b"678", b"9"])
        assert spill.peek(10, 1) == [b"12345"]
        assert spill.peek(10, 8) == [b"12345", b"678"]
        assert spill.peek(2, 100) == [b"12345", b"678"]


def test_older_events_go_to_the_front(path):
    with closing(Spill(path)) as spill:
        spill.push([b"delivered", *EVENTS])
        spill.pop([b"delivered"])
        spill.push_front([b"older", b"old"])
        spill.push([b"last"])
    assert left_in(path) == [b"older", b"old", *EVENTS, b"last"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("cut_bytes", range(1, 8 + len(EVENTS[-1])))
def test_a_torn_event_is_cut_off(path, cut_bytes):
    push(path, *EVENTS)
    os.truncate(path, path.stat().st_size - cut_bytes)
    with closing(Spill(path)) as spill:
        assert spill.peek(*ALL) == EVENTS[:-1]
        spill.push([b"fourth"])
    assert left_in(path) == [*EVENTS[:-1], b"fourth"]


@pytest.mark.parametrize("tail", [bytes(8), bytes(100), b"\x05\0\0\0\1\2\3\4wrong"])
def test_a_tail_that_is_no_event_is_cut_off(path, tail):
    push(path, *EVENTS)
    size_bytes = path.stat().st_size
    with path.open("ab") as file:
        file.write(tail)
    assert left_in(path) == EVENTS
    assert path.stat().st_size == size_bytes


@pytest.mark.parametrize("content", [b"notes", b"a letter to somebody, of many lines"])
def test_a_file_that_is_no_spill_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(DamagedSpill, match="move it away"):
        Spill(path)
    assert path.read_bytes() == content


def test_a_full_disk_adds_nothing(path, monkeypatch):
    """The disk takes half of the events, and then no more."""
    pwrite = os.pwrite

    def full(file, data, at):
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "full")
        return pwrite(file, data[: len(data) // 2], at)

    with closing(Spill(path)) as spill:
        spill.push(EVENTS)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            for push in (spill.push, spill.push_front):
                with pytest.raises(OSError, match="full"):
                    push([b"much too long"])
        assert spill.peek(*ALL) == EVENTS
        spill.push([b"fits"])
    assert left_in(path) == [*EVENTS, b"fits"]
    assert list(path.parent.iterdir()) == [path]


def test_a_spill_has_one_client_at_a_time(path):
    with closing(Spill(path)) as spill:
        with pytest.raises(SpillInUse, match="a file of its own"):
            Spill(path)
        spill.push(EVENTS)
        spill.push_front([b"older"])  # into another file of the same name
        with pytest.raises(SpillInUse):
            Spill(path)
    assert left_in(path) == [b"older", *EVENTS]


def test_a_spill_has_one_process_at_a_time(path):
    code = "import sys; from pathlib import Path; from sixfold.client.spill import Spill;"
    code += "spill = Spill(Path(sys.argv[1])); spill.push([b'kept']); print(flush=True); input()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        with pytest.raises(SpillInUse):
            Spill(path)
        other.kill()
    assert left_in(path) == [b"kept"]


def test_nobody_has_a_spill_that_is_going_away(path):
    """Many clients come and go: an empty file is removed while others are about to lock it."""
    having, overlaps, turns = [], [], []

    def come_and_go(name):
        while len(turns) < 200:
            with suppress(SpillInUse), closing(Spill(path)) as spill:
                having.append(name)
                spill.push([name])
                overlaps.extend(having[1:])
                overlaps.extend(event for event in spill.peek(*ALL) if event != name)
                spill.pop([name])
                having.remove(name)
                turns.append(name)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(come_and_go, name) for name in (b"a", b"b", b"c", b"d")]:
            done.result()
    assert overlaps == []
    assert len(turns) >= 200


def test_events_are_numbered_as_they_come_and_go(path):
    push(path, *EVENTS)
    with closing(Spill(path)) as spill:
        assert (spill.first, spill.next, len(spill)) == (0, 3, 3)
        spill.pop(spill.peek(2, 1 << 20))
        spill.push([b"fourth"])
        assert (spill.first, spill.next, len(spill)) == (2, 4, 2)
        spill.push_front([b"older"])
        assert (spill.first, spill.next, len(spill)) == (1, 4, 3)


EVENT = st.binary(min_size=1, max_size=20)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.lists(EVENT, min_size=1, max_size=4)),
        st.tuples(st.just("push_front"), st.lists(EVENT, min_size=1, max_size=4)),
        st.tuples(st.just("pop"), st.integers(1, 5)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=20,
)


@given(STEPS)
def test_a_spill_is_a_list_that_survives_its_process(steps):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "spill"
        spill = Spill(path)
        expected: list[bytes] = []
        for step, argument in steps:
            if step == "push":
                spill.push(argument)
                expected += argument
            elif step == "push_front":
                spill.push_front(argument)
                expected = argument + expected
            elif step == "pop":
                popped = spill.peek(argument, 1 << 20)
                assert popped == expected[:argument]
                spill.pop(popped)
                del expected[:argument]
            else:
                spill.close()
                spill = Spill(path)
            assert bool(spill) == bool(expected)
            assert spill.peek(*ALL) == expected
        spill.close()
