import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sample_events import enveloped

from schemas.envelope import encode
from schemas.event import EventType
from schemas.fields import field_types
from schemas.json_schema import json_schema
from sixfold.commands.schemas import PUBLISHED
from sixfold.wiring import CATALOG


def data_of(type_: EventType) -> st.SearchStrategy[Any]:
    """Any data that folds may write: what is personal has left it."""
    fields = {
        name: st.none() if name in type_.personal else st.from_type(annotation)
        for name, annotation in field_types(type_.data).items()
    }
    return st.builds(type_.data, **fields)


@pytest.mark.parametrize("type_", CATALOG.types.values(), ids=CATALOG.types)
@given(draw=st.data())
def test_whatever_is_written_satisfies_the_schema_of_its_type(
    type_: EventType, draw: st.DataObject
):
    record = encode(enveloped(draw.draw(data_of(type_)), CATALOG))
    validator = Draft202012Validator(json_schema(CATALOG, type_))
    assert [error.message for error in validator.iter_errors(json.loads(record))] == []


def test_every_event_type_of_the_platform_is_published():
    published = {path.name.removesuffix(".json") for path in PUBLISHED.glob("*.json")}
    assert published == {*CATALOG.types, "asyncapi"}
