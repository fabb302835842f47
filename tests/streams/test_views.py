"""How views are declared, and what a declaration may not say."""

from typing import ClassVar

import pytest

from schemas.fields import Subject
from streams.errors import FoldError
from streams.views import Clustering, Partition, View, shape_of


class Message(View):
    room: Partition[str]
    number: Clustering[int]
    author: Clustering[Subject]
    tag: Clustering[bytes]
    text: str = ""


class NoKey(View):
    text: str


class Scattered(View):
    number: Clustering[int]
    room: Partition[str]


class Cut(View):
    BUCKETS: ClassVar[int] = 2

    room: Partition[str]


def test_the_shape_of_a_view_says_how_its_rows_are_keyed():
    shape = shape_of(Message)
    assert (shape.name, shape.partition, shape.values) == ("message", ("room",), ("text",))
    assert shape.clustering == ("number", "author", "tag")
    assert shape.integers == (1,)
    assert shape.texts == (0, 2, 3)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (NoKey, "NoKey: mark at least one field as Partition"),
        (Scattered, "Scattered: Partition fields first"),
        (Cut, "Cut: a partition of one row cannot have BUCKETS"),
    ],
)
def test_a_view_that_cannot_be_kept_is_refused(view, message):
    with pytest.raises(FoldError, match=message):
        shape_of(view)
