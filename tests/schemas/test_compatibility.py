from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from sample_events import CATALOG, POLLS, declared

from schemas.catalog import Catalog
from schemas.compatibility import Break, Kind, check
from schemas.errors import SchemaError
from schemas.export import export
from schemas.fields import Mention, Personal, Subject
from schemas.topic import Topic

NAME = "thing.done"
PLAIN: dict[str, Any] = {"key": str, "to": str}


def checked(
    directory: Path,
    old: dict[str, Any],
    new: dict[str, Any],
    old_declaration: dict[str, Any] | None = None,
    new_declaration: dict[str, Any] | None = None,
) -> list[Break]:
    """What is wrong with a type whose fields were `old` when it was published."""
    export(Catalog([declared(NAME, old, **(old_declaration or {}))]), directory)
    return check(Catalog([declared(NAME, new, **(new_declaration or {}))]), directory)


def at_most(limit: int) -> Any:
    return Annotated[str, msgspec.Meta(max_length=limit)]


def struct(fields: list[Any], name: str = "Part") -> Any:
    return msgspec.defstruct(name, fields)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Paint(Enum):
    BLUE = "blue"
    RED = "red"


class Tree(msgspec.Struct):
    name: str
    children: "list[Tree]" = []


SAME = {
    "nothing": (PLAIN, PLAIN),
    "a struct's name": (
        PLAIN | {"a": struct([("x", int)], "Part")},
        PLAIN | {"a": struct([("x", int)], "Piece")},
    ),
    "an enum's name and order": (PLAIN | {"a": Colour}, PLAIN | {"a": Paint}),
    "an enum written as literals": (PLAIN | {"a": Colour}, PLAIN | {"a": Literal["red", "blue"]}),
    "the order of a union": (PLAIN | {"a": str | int | None}, PLAIN | {"a": None | int | str}),
    "a struct within itself": (PLAIN | {"a": Tree}, PLAIN | {"a": Tree}),
    "an optional field at the end": (PLAIN, PLAIN | {"a": (str | None, None)}),
    "a personal field at the end": (
        PLAIN | {"who": Subject},
        PLAIN | {"who": Subject, "a": (Personal[str] | None, None)},
    ),
    "an optional field at the end of a struct": (
        PLAIN | {"a": list[struct([("x", int)])]},
        PLAIN | {"a": list[struct([("x", int), ("y", int, 0)])]},
    ),
}


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_both_old_records_and_old_readers_survive_a_change_of(
    old: dict[str, Any], new: dict[str, Any], tmp_path: Path
):
    assert {found.kind for found in checked(tmp_path, old, new)} <= {Kind.STALE}


MENDED = f": undo this, or add {NAME}_v2 beside {NAME}"

BREAKING: dict[str, tuple[dict[str, Any], dict[str, Any], str | None, str]] = {
    "removing a field": (PLAIN, {"key": str}, "data.to", "was removed or renamed"),
    "removing an optional field": (
        PLAIN | {"a": (str | None, None)},
        PLAIN,
        "data.a",
        "was removed or renamed",
    ),
    "retyping": (PLAIN, PLAIN | {"to": int}, "data.to", "was string and is now integer"),
    "allowing None": (
        PLAIN,
        PLAIN | {"to": str | None},
        "data.to",
        "was string and is now null or string",
    ),
    "retyping what a list holds": (
        PLAIN | {"a": list[str]},
        PLAIN | {"a": list[int]},
        "data.a[]",
        "was string and is now integer",
    ),
    "retyping a place of a tuple": (
        PLAIN | {"a": tuple[str, int]},
        PLAIN | {"a": tuple[str, str]},
        "data.a[1]",
        "was integer and is now string",
    ),
    "retyping what a dict holds": (
        PLAIN | {"a": dict[str, int]},
        PLAIN | {"a": dict[str, float]},
        "data.a[]",
        "was integer and is now number",
    ),
    "retyping within an optional struct": (
        PLAIN | {"a": struct([("x", int)]) | None},
        PLAIN | {"a": struct([("x", str)]) | None},
        "data.a.x",
        "was integer and is now string",
    ),
    "another order": (
        {"key": str, "to": str, "by": str},
        {"key": str, "by": str, "to": str},
        "data",
        "has its fields in another order than key, to, by",
    ),
    "an optional field in the middle": (
        PLAIN | {"a": (str | None, None)},
        PLAIN | {"b": (str | None, None), "a": (str | None, None)},
        "data.b",
        "is new, but not the last field",
    ),
    "a required field more": (
        PLAIN,
        PLAIN | {"a": str},
        "data.a",
        "is new and required, but old records do not have it",
    ),
    "a required field more in a struct": (
        PLAIN | {"a": list[struct([("x", int)])]},
        PLAIN | {"a": list[struct([("x", int), ("y", int)])]},
        "data.a[].y",
        "is new and required, but old records do not have it",
    ),
    "requiring an optional field": (
        PLAIN | {"a": (str | None, None)},
        PLAIN | {"a": str | None},
        "data.a",
        "was optional and is now required, but old records may be without it",
    ),
    "making a required field optional": (
        PLAIN | {"a": str | None},
        PLAIN | {"a": (str | None, None)},
        "data.a",
        "was required and is now optional, but old readers need it",
    ),
    "another default": (
        PLAIN | {"a": (int, 1)},
        PLAIN | {"a": (int, 2)},
        "data.a",
        "has another default, so absence means 2, but 1 in old records",
    ),
    "a value less": (
        PLAIN | {"a": Literal["x", "y"]},
        PLAIN | {"a": Literal["x"]},
        "data.a",
        "cannot be 'y' any more, but old records have it",
    ),
    "a value more": (
        PLAIN | {"a": Colour},
        PLAIN | {"a": Literal["red", "blue", "green"]},
        "data.a",
        "can now be 'green', which old readers refuse",
    ),
    "values instead of texts": (
        PLAIN,
        PLAIN | {"to": Literal["x"]},
        "data.to",
        "was string and is now one of some values",
    ),
    "a narrower constraint": (
        PLAIN | {"a": at_most(5)},
        PLAIN | {"a": at_most(3)},
        "data.a",
        "had maxLength 5 and now has 3",
    ),
    "a wider constraint": (
        PLAIN | {"a": at_most(5)},
        PLAIN | {"a": at_most(7)},
        "data.a",
        "had maxLength 5 and now has 7",
    ),
    "a new constraint": (
        PLAIN,
        PLAIN | {"to": at_most(5)},
        "data.to",
        "had maxLength None and now has 5",
    ),
    "a subject more": (PLAIN, PLAIN | {"to": Subject}, "data.to", "has become a Subject"),
    "a subject less": (PLAIN | {"to": Subject}, PLAIN, "data.to", "has stopped being a Subject"),
    "a mention more": (
        PLAIN | {"a": list[str]},
        PLAIN | {"a": list[Mention]},
        "data.a",
        "has become a Mention",
    ),
    "sealing what was not": (
        PLAIN | {"who": Subject, "a": (str | None, None)},
        PLAIN | {"who": Subject, "a": (Personal[str] | None, None)},
        "data.a",
        "was not Personal and now is, but old records have it in the clear",
    ),
    "not sealing what was": (
        PLAIN | {"who": Subject, "a": (Personal[str] | None, None)},
        PLAIN | {"who": Subject, "a": (str | None, None)},
        "data.a",
        "was Personal and is not any more, but old records have it sealed",
    ),
    "retyping what is sealed": (
        PLAIN | {"who": Subject, "a": (Personal[str] | None, None)},
        PLAIN | {"who": Subject, "a": (Personal[int] | None, None)},
        "data.a",
        "was null or string and is now integer or null",
    ),
}


@pytest.mark.parametrize(("old", "new", "field", "what"), BREAKING.values(), ids=BREAKING)
def test_refused_is(
    old: dict[str, Any], new: dict[str, Any], field: str, what: str, tmp_path: Path
):
    assert checked(tmp_path, old, new) == [Break(Kind.BREAKING, NAME, field, what + MENDED)]


THINGS = Topic("things")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ({}, {"key": "to"}, "the key was key and is now to"),
        ({}, {"topic": "others"}, "the topic was things and is now others"),
        ({}, {"topic": Topic("things", partitions=5)}, "had 4 partitions and now has 5"),
        ({}, {"topic": Topic("things", global_keys=True)}, "global_keys was False and is now True"),
        ({}, {"topic": Topic("things", compacted=True)}, "compacted was False and is now True"),
    ],
)
def test_refused_is_another_place_in_the_log(
    old: dict[str, Any], new: dict[str, Any], what: str, tmp_path: Path
):
    (found,) = checked(tmp_path, PLAIN, PLAIN, old, new)
    assert (found.kind, found.type, found.field) == (Kind.BREAKING, NAME, None)
    assert what in found.message
    assert f"add {NAME}_v2" in found.message


def test_how_long_records_are_kept_may_change(tmp_path: Path):
    longer = {"topic": Topic("things", retention_days=30)}
    (found,) = checked(tmp_path, PLAIN, PLAIN, {}, longer)
    assert found.kind is Kind.STALE


def test_several_changes_are_several_breaks_in_order(tmp_path: Path):
    found = checked(tmp_path, PLAIN | {"a": int, "b": int}, PLAIN | {"b": str, "c": str})
    assert [one.field for one in found] == ["data.a", "data.b", "data.c"]


def test_a_published_type_may_not_go(tmp_path: Path):
    export(CATALOG, tmp_path)
    rest = Catalog(t for t in CATALOG.types.values() if t.name != "poll.voted")
    (found,) = check(rest, tmp_path)
    assert (found.kind, found.type, found.field) == (Kind.BREAKING, "poll.voted", None)
    assert "put it back" in str(found)


def test_a_type_that_is_not_published_is_not_a_breaking_change(tmp_path: Path):
    export(Catalog([]), tmp_path)
    (found,) = check(Catalog([declared(NAME, PLAIN)]), tmp_path)
    assert found.kind is Kind.UNPUBLISHED
    assert str(found) == f"{NAME}: not published: run `sixfold schemas export`"


def test_nothing_published_is_every_type_unpublished(tmp_path: Path):
    found = check(CATALOG, tmp_path / "nowhere")
    assert {one.type for one in found} == set(CATALOG.types)
    assert {one.kind for one in found} == {Kind.UNPUBLISHED}


def test_a_compatible_change_is_to_be_published_too(tmp_path: Path):
    (found,) = checked(tmp_path, PLAIN, PLAIN | {"a": (str | None, None)})
    assert (found.kind, found.type) == (Kind.STALE, NAME)
    assert "run `sixfold schemas export`" in found.message


@pytest.mark.parametrize(("text", "kind"), [(None, Kind.UNPUBLISHED), ("{}", Kind.STALE)])
def test_the_asyncapi_document_is_compared_too(text: str | None, kind: Kind, tmp_path: Path):
    export(CATALOG, tmp_path)
    document = tmp_path / "asyncapi.json"
    document.unlink() if text is None else document.write_text(text)
    (found,) = check(CATALOG, tmp_path)
    assert (found.kind, found.type) == (kind, "asyncapi")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<<<<<<< ours", "is no JSON .*"),
        ("{}", "is no schema of an event type"),
        ("[]", "is no schema of an event type"),
    ],
)
def test_a_published_file_that_cannot_be_read_is_named(text: str, what: str, tmp_path: Path):
    export(CATALOG, tmp_path)
    (tmp_path / "poll.voted.json").write_text(text)
    with pytest.raises(SchemaError, match=rf"poll\.voted\.json {what}: restore it"):
        check(CATALOG, tmp_path)


def test_the_advice_counts_versions_on(tmp_path: Path):
    export(Catalog([declared("thing.done_v9", PLAIN)]), tmp_path)
    (found,) = check(Catalog([declared("thing.done_v9", {"key": str})]), tmp_path)
    assert str(found) == (
        "thing.done_v9: data.to was removed or renamed: "
        "undo this, or add thing.done_v10 beside thing.done_v9"
    )


def test_the_catalog_of_the_tests_itself_is_compatible_with_what_it_publishes(tmp_path: Path):
    export(CATALOG, tmp_path)
    assert check(CATALOG, tmp_path) == []
    assert CATALOG.topics["polls"] == POLLS
