from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.links.keys import ALPHABET, KEYS, KeySpace, Permutation

SECRET = b"a secret of thirty-two bytes...."
KEY_SPACE = KeySpace(SECRET)


@given(st.integers(0, KEYS - 1))
def test_a_key_leads_back_to_its_counter(counter: int) -> None:
    key = KEY_SPACE.key(counter)
    assert len(key) == 7
    assert set(key) <= set(ALPHABET)
    assert KEY_SPACE.counter(key) == counter


@given(st.text(ALPHABET, min_size=7, max_size=7))
def test_every_text_of_seven_letters_and_digits_is_the_key_of_one_counter(key: str) -> None:
    counter = KEY_SPACE.counter(key)
    assert counter is not None
    assert 0 <= counter < KEYS
    assert KEY_SPACE.key(counter) == key


@pytest.mark.parametrize(
    "text", ["", "abcdef", "abcdefgh", "abc-efg", "abcdefü", "abcdef٣", "abcdef\n"]
)
def test_other_texts_have_no_counter(text: str) -> None:
    assert KEY_SPACE.counter(text) is None


def test_the_first_and_the_last_counter_have_keys() -> None:
    assert KEY_SPACE.counter(KEY_SPACE.key(0)) == 0
    assert KEY_SPACE.counter(KEY_SPACE.key(KEYS - 1)) == KEYS - 1


@pytest.mark.parametrize("size", [1, 2, 3, 10, 62, 100, 999, 1_000, 3_844])
def test_on_small_domains_every_value_is_hit_exactly_once(size: int) -> None:
    permutation = Permutation(size, SECRET)
    images = [permutation.forward(value) for value in range(size)]
    assert sorted(images) == list(range(size))
    assert [permutation.backward(image) for image in images] == list(range(size))


@given(st.integers(1, 1 << 127), st.data())
def test_on_any_domain_backward_undoes_forward(size: int, data: st.DataObject) -> None:
    permutation = Permutation(size, SECRET)
    value = data.draw(st.integers(0, size - 1))
    image = permutation.forward(value)
    assert 0 <= image < size
    assert permutation.backward(image) == value


def test_another_secret_gives_another_order() -> None:
    other = KeySpace(b"another secret of 32 bytes......")
    same = sum(KEY_SPACE.key(counter) == other.key(counter) for counter in range(1_000))
    assert same == 0


def test_neighbours_are_not_correlated() -> None:
    permutation = Permutation(KEYS, SECRET)
    images = [permutation.forward(counter) / KEYS - 0.5 for counter in range(20_000)]
    covariance = sum(a * b for a, b in pairwise(images)) / (len(images) - 1)
    correlation = covariance * 12  # the variance of a uniform distribution is 1/12
    assert abs(correlation) < 5 / len(images) ** 0.5  # five standard errors
    rises = sum(b > a for a, b in pairwise(images)) / (len(images) - 1)
    assert abs(rises - 0.5) < 0.02


@pytest.mark.parametrize("place", range(7))
def test_at_each_place_all_characters_are_equally_frequent(place: int) -> None:
    keys = 12_400
    counts = Counter(KEY_SPACE.key(counter)[place] for counter in range(keys))
    expected = keys / 62
    chi_square = sum((counts[c] - expected) ** 2 / expected for c in ALPHABET)
    assert chi_square < 125  # 61 degrees of freedom: exceeded once in 400,000 times


def test_a_hundred_thousand_keys_hold_no_duplicate() -> None:
    assert len({KEY_SPACE.key(counter) for counter in range(100_000)}) == 100_000


@pytest.mark.soak
def test_a_million_keys_hold_no_duplicate() -> None:
    assert len({KEY_SPACE.key(counter) for counter in range(1_000_000)}) == 1_000_000
