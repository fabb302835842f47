from datetime import UTC, datetime
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hits import HITS, Hits, ThirdReached

from streams.cursor import Cursor
from streams.effects import Effects
from streams.errors import FoldError
from streams.views import MAX_KEY_CHARS, Clustering, Partition, View

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Pair(View):
    a: Partition[str]
    b: Clustering[int]
    note: str = ""


class Shared(View):
    GLOBAL: ClassVar[bool] = True

    key: Partition[str]
    n: int


@pytest.fixture
def cursor() -> Cursor:
    """At the first of two tenants' records."""
    cursor = Cursor(3)
    events = [SimpleNamespace(tenant=t, time=NOW, traceparent="00-1") for t in ("acme", "globex")]
    cursor.point(HITS.name, events, [10, 20])
    cursor.at(0)
    return cursor


@pytest.fixture
def out(cursor: Cursor) -> Effects:
    return Effects(cursor)


def test_the_last_row_of_a_key_is_the_one_that_is_written(out: Effects):
    out.put(Hits("a", 1, 1))
    out.put(Hits("a", 2, 2))
    out.put(Pair("a", 1))
    out.delete(Pair, "a", 1)
    out.delete(Hits, "b")
    out.accept()
    assert out.take() == {
        Hits: {("acme", ("a",)): Hits("a", 2, 2), ("acme", ("b",)): None},
        Pair: {("acme", ("a", 1)): None},
    }
    assert out.take() == {}


def test_rows_are_their_tenant_s_unless_the_view_is_global(cursor: Cursor, out: Effects):
    out.put(Hits("a", 1, 1))
    out.put(Shared("s", 1))
    cursor.at(1)
    out.put(Hits("a", 2, 2))
    out.put(Shared("s", 2))
    out.accept()
    assert out.take() == {
        Hits: {("acme", ("a",)): Hits("a", 1, 1), ("globex", ("a",)): Hits("a", 2, 2)},
        Shared: {("", ("s",)): Shared("s", 2)},
    }


def test_what_is_rolled_back_never_was(out: Effects):
    out.put(Hits("a", 1, 1))
    out.accept()
    out.put(Hits("a", 2, 2))
    out.emit(ThirdReached("a", 3))
    out.rollback()
    out.accept()
    assert out.take() == {Hits: {("acme", ("a",)): Hits("a", 1, 1)}}
    assert out.emitted == []


def test_emitted_events_are_numbered_within_their_cause(cursor: Cursor, out: Effects):
    out.emit(ThirdReached("a", 3))
    out.emit(ThirdReached("b", 3))
    cursor.at(1)
    out.emit(ThirdReached("c", 3))
    assert [(e.data.key, e.cause, e.ordinal, e.tenant, e.traceparent) for e in out.emitted] == [
        ("a", "hits/3/10", 0, "acme", "00-1"),
        ("b", "hits/3/10", 1, "acme", "00-1"),
        ("c", "hits/3/20", 0, "globex", "00-1"),
    ]
    out.rollback()
    out.emit(ThirdReached("c", 3))
    assert out.emitted[0].ordinal == 0


def test_a_row_is_deleted_by_its_whole_key(out: Effects):
    with pytest.raises(FoldError, match="Pair has the key"):
        out.delete(Pair, "a")


def test_without_a_current_record_there_are_no_effects(cursor: Cursor, out: Effects):
    cursor.enter(None)
    for touch in (
        lambda: out.put(Hits("a", 1, 1)),
        lambda: out.delete(Hits, "a"),
        lambda: out.emit(ThirdReached("a", 3)),
    ):
        with pytest.raises(FoldError, match="no current record"):
            touch()


@pytest.mark.parametrize(
    "row",
    [
        Hits("a", 1 << 70, 1),
        Pair("a", 1 << 63),
        Pair("a", -(1 << 64)),
        Pair("a" * (MAX_KEY_CHARS + 1), 1),
        Shared("a" * (MAX_KEY_CHARS + 1), 1),
    ],
)
def test_rows_that_cannot_be_stored_are_found_before_they_are_accepted(out: Effects, row: View):
    out.put(row)
    with pytest.raises(OverflowError):
        out.check()
