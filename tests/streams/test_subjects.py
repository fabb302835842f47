from collections.abc import Sequence
from typing import Annotated

import msgspec
import pytest

from schemas.fields import Mention, Subject
from streams.subjects import finder

ANN, BOB = Subject("ann"), Mention("bob")


class Named(msgspec.Struct):
    who: Subject
    note: str = ""


class Nameless(msgspec.Struct):
    note: str = ""


class Nested(msgspec.Struct):
    inner: Named | Nameless | None
    more: list[Named] = []


@pytest.mark.parametrize(
    ("annotation", "value", "found"),
    [
        (Subject, ANN, ["ann"]),
        (Subject | None, ANN, ["ann"]),
        (Subject | None, None, []),
        (Annotated[Mention, "marked"], BOB, ["bob"]),
        (tuple[str, Subject, int, Mention], ("x", ANN, 1, BOB), ["ann", "bob"]),
        (tuple[Mention, ...], (ANN, BOB), ["ann", "bob"]),
        (list[Mention], [], []),
        (set[Subject], {ANN}, ["ann"]),
        (Sequence[Subject], [ANN], ["ann"]),
        (dict[Subject, int], {ANN: 1}, ["ann"]),
        (dict[str, Subject], {"x": ANN}, ["ann"]),
        (dict[Subject, list[Mention]], {ANN: [BOB]}, ["ann", "bob"]),
        (Named, Named(ANN), ["ann"]),
        (Nested, Nested(Named(ANN), [Named(Subject("eve"))]), ["ann", "eve"]),
        (Nested, Nested(Nameless()), []),
        (Nested, Nested(None), []),
    ],
)
def test_pseudonyms_are_found_wherever_they_stand(annotation, value, found):
    assert list(finder(annotation)(value)) == found


@pytest.mark.parametrize(
    "annotation", [str, int, tuple[str, int], list[str], dict[str, int], Nameless, str | None]
)
def test_where_none_can_be_none_are_looked_for(annotation):
    assert finder(annotation) is None
