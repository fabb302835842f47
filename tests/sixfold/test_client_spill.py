"""The client's spill: a queue in a file."""

import errno
import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.client.errors import DamagedSpill
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
