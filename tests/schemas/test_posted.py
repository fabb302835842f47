"""What clients that post events are held to, and the log is not."""

from typing import Annotated

import msgspec
import pytest

from schemas.catalog import Catalog
from schemas.event import Data, event, event_type_of
from schemas.json_schema import json_schema
from schemas.posted import posted, posted_struct

_Colour = Annotated[str, posted(pattern=r"^[a-z]+\Z")]


@event("paint.mixed", topic="paints", key="colour")
class PaintMixed(Data):
    """Somebody mixed paint."""

    colour: _Colour
    litres: Annotated[int, posted(ge=0)] = 1
    base: _Colour | None = None
    parts: list[str] = msgspec.field(default_factory=list)
    note: str = "none"


def decoded(**data):
    return msgspec.json.decode(msgspec.json.encode(data), type=posted_struct(PaintMixed))


@pytest.mark.parametrize(
    "data", [{}, {"litres": 5, "base": "white"}, {"base": None, "parts": ["red", "blue"]}]
)
def test_what_is_within_its_limits_is_taken_with_the_same_defaults(data):
    found = decoded(colour="green", **data)
    assert msgspec.structs.asdict(found) == msgspec.structs.asdict(PaintMixed("green", **data))
    assert isinstance(found, PaintMixed)


@pytest.mark.parametrize(
    "data",
    [
        {"colour": "GREEN"},
        {"colour": "green\n"},
        {"colour": "green", "litres": -1},
        {"colour": "green", "base": ""},
        {"colour": "green", "smell": "odd"},
        {"litres": 1},
    ],
)
def test_what_is_not_is_refused(data):
    with pytest.raises(msgspec.ValidationError):
        decoded(**data)


def test_records_and_published_schemas_know_nothing_of_limits():
    catalog = Catalog([event_type_of(PaintMixed)])
    schema = json_schema(catalog, catalog.types["paint.mixed"])
    fields = schema["$defs"]["PaintMixed"]["properties"]
    assert fields["colour"] == {"type": "string"}
    assert fields["litres"] == {"type": "integer", "default": 1}
    assert msgspec.json.decode(b'{"colour": "GREEN"}', type=PaintMixed) == PaintMixed("GREEN")
