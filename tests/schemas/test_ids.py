import os
import random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import derived_id, uuid7

TIMES_MS = st.integers(0, 2**48 - 1)
PARTS = st.lists(st.text() | st.integers(-(2**63), 2**63 - 1)).map(tuple)


@given(TIMES_MS)
def test_a_fresh_id_is_a_version_7_uuid_of_its_time(time_ms: int):
    id = UUID(uuid7(time_ms))
    assert (id.version, id.variant) == (7, UUID(int=0x8 << 60).variant)
    assert id.int >> 80 == time_ms


@given(TIMES_MS, PARTS)
def test_a_derived_id_has_the_same_layout(time_ms: int, parts: tuple[str | int, ...]):
    id = UUID(derived_id(time_ms, *parts))
    assert (id.version, id.variant) == (7, UUID(int=0x8 << 60).variant)
    assert id.int >> 80 == time_ms


@given(TIMES_MS, TIMES_MS)
def test_ids_sort_by_time(one: int, other: int):
    early, late = sorted((one, other))
    assert early == late or uuid7(early) < uuid7(late)
    assert early == late or derived_id(early, "a") < derived_id(late, "a")


def test_fresh_ids_of_one_millisecond_differ():
    assert len({uuid7(1) for _ in range(10_000)}) == 10_000


def test_fresh_ids_differ_though_the_shared_generator_is_seeded_alike():
    random.seed(1)
    one = uuid7(1)
    random.seed(1)
    assert uuid7(1) != one


def test_fresh_ids_of_a_forked_process_differ_from_its_parent_s():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, uuid7(1).encode())
        os._exit(0)
    mine = uuid7(1)
    os.waitpid(child, 0)
    assert os.read(reading, 36).decode() != mine


def test_a_derived_id_is_the_same_in_every_process_and_version():
    assert derived_id(1, "links", "clicks/0/7", 3) == "00000000-0001-7540-9a3e-d6db0a66cb82"


@given(PARTS, PARTS)
def test_different_parts_have_different_ids(
    one: tuple[str | int, ...], other: tuple[str | int, ...]
):
    assert (derived_id(1, *one) == derived_id(1, *other)) == (one == other)


def test_parts_are_told_apart_whatever_is_in_them():
    ids = [
        derived_id(1, "a", "b"),
        derived_id(1, "ab"),
        derived_id(1, "a\x1fb"),
        derived_id(1, "a", "b", ""),
        derived_id(1, "a", 1),
        derived_id(1, "a", "1"),
    ]
    assert len(set(ids)) == len(ids)
