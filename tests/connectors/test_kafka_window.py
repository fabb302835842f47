import random

from hypothesis import given
from hypothesis import strategies as st

from connectors.log.kafka.window import Window


def window(start=0, due=0):
    return Window("t", 0, start, due)


def add(window, *offsets, value=b"v"):
    window.add(offsets, [0] * len(offsets), [None] * len(offsets), [value] * len(offsets))


def offsets(window, offset, max_records=100):
    records = window.read(offset, max_records)
    if records is None:
        return None
    assert records.start == offset
    return list(records.offsets)


def test_a_window_covers_what_comes_next_but_not_what_came_before():
    some = window(start=5)
    assert not some.covers(4)
    assert some.covers(5)
    assert not some.covers(6)
    add(some, 5, 6, 9)
    assert some.covers(10)
    assert not some.covers(11)


def test_records_are_read_from_any_offset_in_it_gaps_included():
    some = window()
    add(some, 1, 2)
    add(some, 5, 6)
    assert offsets(some, 0) == [1, 2]
    assert offsets(some, 2) == [2]
    assert offsets(some, 3) == [5, 6]
    assert offsets(some, 7) is None


def test_no_more_is_read_than_was_asked_for():
    some = window()
    add(some, 0, 1, 2)
    assert offsets(some, 0, max_records=2) == [0, 1]
    assert offsets(some, 2, max_records=2) == [2]


def test_a_gap_at_the_end_is_covered_once_it_is_known():
    some = window()
    add(some, 0)
    some.reach(3)
    assert some.covers(3)
    assert offsets(some, 1) is None
    add(some, 3)
    assert offsets(some, 1) == [3]


def test_the_last_record_is_known_when_gaps_follow():
    some = window()
    some.reach(4)
    assert some.last is None
    add(some, 7)
    some.reach(12)
    assert some.last == 8


def test_a_window_is_full_until_it_is_read():
    some = window()
    for offset in range(8):
        add(some, offset, value=bytes(1 << 20))
    assert some.is_full
    for offset in range(8):
        assert offsets(some, offset) == [offset]
    assert not some.is_full
    assert not some.covers(0)
    assert some.covers(7)


@given(st.randoms(use_true_random=False))
def test_whoever_reads_finds_every_record_once_whatever_is_forgotten(randoms: random.Random):
    some, expected, found, offset = window(), [], [], 0
    for _ in range(randoms.randrange(1, 40)):
        if randoms.random() < 0.5:
            first = some.next_offset + randoms.randrange(3)
            new = [first + i * 2 for i in range(randoms.randrange(1, 5))]
            add(some, *new, value=bytes(randoms.choice((1, 300_000))))
            expected += new
        elif randoms.random() < 0.2:
            some.reach(some.next_offset + randoms.randrange(3))
        while randoms.random() < 0.6 and (records := some.read(offset, randoms.randrange(1, 4))):
            found += records.offsets
            offset = records.next_offset
            assert some.covers(offset)
    while records := some.read(offset, 100):
        found += records.offsets
        offset = records.next_offset
    assert found == expected
