from hypothesis import given
from hypothesis import strategies as st

from streams.links.bloom import BloomFilter

RATE = 0.01
ASKED = 20_000
LIMIT = RATE + 4 * (RATE / ASKED) ** 0.5  # four standard errors above


@given(st.sets(st.binary(), max_size=300))
def test_every_item_that_was_added_is_present(items: set[bytes]) -> None:
    bloom = BloomFilter(expected_items=20, false_positive_rate=0.01)
    for item in items:
        bloom.add(item)
    assert all(item in bloom for item in items)


def test_an_empty_filter_has_nothing() -> None:
    bloom = BloomFilter(expected_items=10, false_positive_rate=0.01)
    assert b"" not in bloom
    assert len(bloom) == 0


def test_false_positives_stay_below_the_rate_when_it_is_full() -> None:
    assert _false_positives(expected=10_000, added=10_000) <= LIMIT


def test_false_positives_stay_below_the_rate_when_it_has_grown_a_hundredfold() -> None:
    assert _false_positives(expected=200, added=20_000) <= LIMIT


def test_a_filter_grows_in_step_with_its_contents() -> None:
    bloom = BloomFilter(expected_items=1_000, false_positive_rate=0.001)
    empty_bytes = bloom.size_bytes
    assert empty_bytes < 2_100  # 15.8 bits an item, for half the rate
    for n in range(1_001):
        bloom.add(b"%d" % n)
        bloom.add(b"%d" % n)
    assert 990 <= len(bloom) <= 1_001
    for n in range(1_001, 1_100):
        bloom.add(b"%d" % n)
    assert 5 * empty_bytes < bloom.size_bytes < 6 * empty_bytes


def _false_positives(expected: int, added: int) -> float:
    bloom = BloomFilter(expected, RATE)
    for n in range(added):
        bloom.add(b"in %d" % n)
    return sum(b"out %d" % n in bloom for n in range(ASKED)) / ASKED
