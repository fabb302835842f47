import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import KeysExhausted, RuleBroken
from streams.links.blocks import REGION_CAPACITY, REGIONS, Allocator, Blocks
from streams.links.keys import KEYS

offsets = st.integers(0, 200_000_000)
regions = st.integers(0, REGIONS - 1)


@given(regions, offsets, offsets)
def test_two_offsets_grant_different_counters(region: int, one: int, other: int) -> None:
    blocks = Blocks(region)
    a, b = blocks.counters(one), blocks.counters(other)
    assert len(a) == len(b) == 1_000
    assert (one == other) or a[-1] < b[0] or b[-1] < a[0]


@given(regions, regions, offsets, offsets)
def test_regions_never_share_a_counter(here: int, there: int, one: int, other: int) -> None:
    a, b = Blocks(here).counters(one), Blocks(there).counters(other)
    assert (here == there) or a[-1] < b[0] or b[-1] < a[0]


def test_the_last_block_of_the_last_region_is_inside_the_key_space() -> None:
    last = REGION_CAPACITY // 1_000 - 1
    assert Blocks(REGIONS - 1).counters(last)[-1] < KEYS


def test_a_region_that_has_granted_everything_says_so() -> None:
    with pytest.raises(KeysExhausted, match="give new gateways another region"):
        Blocks(3).counters(REGION_CAPACITY // 1_000)


def test_a_raised_base_grants_nothing_that_was_granted_before() -> None:
    before = {counter for offset in range(5) for counter in Blocks(0).counters(offset)}
    restored = Blocks(0, base=5)
    assert before.isdisjoint(restored.counters(0))
    assert all(restored.granted(counter, end_offset=0) for counter in before)


@given(regions, st.integers(0, 1_000), st.integers(0, 50), st.integers(0, 50))
def test_exactly_the_counters_of_blocks_before_the_end_are_granted(
    region: int, base: int, offset: int, end_offset: int
) -> None:
    blocks = Blocks(region, base)
    block = blocks.counters(offset)
    for counter in (block[0], block[-1]):
        assert blocks.granted(counter, end_offset) == (offset < end_offset)


def test_a_counter_of_another_region_is_not_granted_here() -> None:
    assert not Blocks(1).granted(Blocks(0).counters(0)[0], end_offset=10)
    assert not Blocks(1).granted(Blocks(2).counters(0)[0], end_offset=10)


@pytest.mark.parametrize(
    ("region", "base", "size", "field"),
    [
        (-1, 0, 1_000, "region"),
        (16, 0, 1_000, "region"),
        (0, -1, 1_000, "base"),
        (0, 0, 999, "size"),
    ],
)
def test_impossible_settings_are_refused(region: int, base: int, size: int, field: str) -> None:
    with pytest.raises(RuleBroken) as broken:
        Blocks(region, base, size)
    assert broken.value.field == field


def test_an_allocator_hands_out_every_counter_once_and_fetches_ahead() -> None:
    allocator = Allocator(low_water=3)
    assert allocator.take() is None
    assert allocator.low
    allocator.grant(range(10, 15))
    assert not allocator.low
    assert [allocator.take() for _ in range(3)] == [10, 11, 12]
    assert allocator.low
    allocator.grant(range(70, 72))
    assert [allocator.take() for _ in range(5)] == [13, 14, 70, 71, None]
    assert len(allocator) == 0
