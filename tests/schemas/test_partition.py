import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partition import murmur2, partition_of

# From Kafka's own UtilsTest; its hashes are signed.
PUBLISHED = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "signed"), PUBLISHED.items())
def test_murmur2_is_kafkas(text: str, signed: int):
    assert murmur2(text.encode()) == signed % 2**32


@given(st.binary(), st.integers(1, 1024))
def test_a_key_has_one_partition_among_those_there_are(key: bytes, partitions: int):
    first = partition_of(key, partitions)
    partition_of.cache_clear()
    assert 0 <= first < partitions
    assert partition_of(key, partitions) == first


def test_the_sign_bit_is_dropped_as_kafka_drops_it():
    assert partition_of(b"foobar", 1000) == (-790332482 & 0x7FFFFFFF) % 1000


def test_keys_spread_over_all_partitions():
    counts = [0] * 8
    for i in range(8_000):
        counts[partition_of(f"acme/{i}".encode(), 8)] += 1
    assert min(counts) > 800
