import json
from typing import Any, Literal

import msgspec
import pytest
from jsonschema import Draft202012Validator
from sample_events import (
    CATALOG,
    TYPES,
    NoticePosted,
    Option,
    PersonForgotten,
    PollOpened,
    PollVoted,
    declared,
    enveloped,
)

from schemas.catalog import Catalog
from schemas.envelope import encode
from schemas.event import Data, event_type_of
from schemas.fields import Mention, Subject
from schemas.json_schema import json_schema, render

ANN, BOB = Subject("5f0c"), Mention("b0b0")


def schema_of(data: type[Data]) -> dict[str, Any]:
    return json_schema(CATALOG, event_type_of(data))


def errors_of(data: type[Data], record: dict[str, Any]) -> list[str]:
    validator = Draft202012Validator(schema_of(data))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(record)]


@pytest.mark.parametrize("data", TYPES)
def test_schemas_are_of_their_dialect(data: type[Data]):
    Draft202012Validator.check_schema(schema_of(data))


@pytest.mark.parametrize(
    "data",
    [
        PollOpened("lunch", []),
        PollOpened("lunch", [Option("soup"), Option("salad", 2)], [BOB]),
        PollVoted("lunch", ANN, 1, "app"),
        NoticePosted("n1"),
        PersonForgotten(ANN),
    ],
)
def test_records_of_the_log_satisfy_the_schema_of_their_type(data: Data):
    attributes = {"cause": "polls/0/7", "ordinal": 3, "sealed": "AAAA", "traceparent": None}
    for record in (enveloped(data), enveloped(data, **attributes)):
        assert errors_of(type(data), json.loads(encode(record))) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"type": "poll.opened"}, "$.type"),
        ({"specversion": "0.3"}, "$.specversion"),
        ({"data": {"poll": "lunch", "voter": "v", "option": -1}}, "$.data.option"),
        ({"data": {"poll": "lunch", "voter": "v", "option": 1, "via": "fax"}}, "$.data.via"),
        ({"data": {"poll": "lunch", "voter": "v", "option": 1, "comment": "!"}}, "$.data: False"),
        ({"data": {"poll": "lunch", "option": 1}}, "$.data: 'voter' is a required"),
    ],
)
def test_what_the_decoder_refuses_the_schema_refuses_too(change: dict[str, Any], error: str):
    record = json.loads(encode(enveloped(PollVoted("lunch", ANN, 1))))
    assert errors_of(PollVoted, record) == []
    (found,) = errors_of(PollVoted, record | change)
    assert found.startswith(error)


def test_a_schema_says_what_the_catalog_knows():
    voted = schema_of(PollVoted)
    data = voted["$defs"]["PollVoted"]
    assert voted["title"] == "poll.voted"
    assert voted["description"] == data["description"] == PollVoted.__doc__
    assert data["x-sixfold-order"] == ["poll", "voter", "option", "via", "comment"]
    assert data["required"] == ["poll", "voter", "option"]
    assert data["properties"]["voter"] == {"type": "string", "x-sixfold-subject": True}
    assert set(data["x-sixfold-personal"]) == {"comment"}
    assert voted["x-sixfold-topic"] == {
        "name": "polls",
        "key": "poll",
        "partitions": 8,
        "retention_days": 90,
        "archived": True,
        "compacted": False,
        "deduplicated": False,
        "spills": False,
        "global_keys": False,
    }
    invited = schema_of(PollOpened)["$defs"]["PollOpened"]["properties"]["invited"]
    assert invited["x-sixfold-mention"] is True


def test_a_time_has_its_format():
    assert schema_of(NoticePosted)["properties"]["time"] == {
        "type": "string",
        "format": "date-time",
    }


class Text(msgspec.Struct, tag=True):
    text: str


class Picture(msgspec.Struct, tag=True):
    url: str


def test_tagged_unions_are_told_apart_without_a_discriminator():
    type_ = declared("message.sent", {"key": str, "body": Text | Picture})
    catalog = Catalog([type_])
    schema = json_schema(catalog, type_)
    assert "discriminator" not in render(schema)
    record = json.loads(encode(enveloped(type_.data("k", Picture("u")), catalog)))
    validator = Draft202012Validator(schema)
    assert validator.is_valid(record)
    record["data"]["body"]["type"] = "Text"
    assert not validator.is_valid(record)


def test_a_field_named_discriminator_stays():
    type_ = declared("motor.sold", {"key": str, "discriminator": Literal["a", "b"]})
    schema = json_schema(Catalog([type_]), type_)
    assert schema["$defs"]["MotorSold"]["properties"]["discriminator"] == {"enum": ["a", "b"]}


def test_the_text_of_a_schema_is_the_same_however_the_catalog_was_built():
    backwards = Catalog(event_type_of(data) for data in reversed(TYPES))
    for data in TYPES:
        text = render(schema_of(data))
        assert text == render(json_schema(backwards, event_type_of(data)))
        assert text.startswith("{\n  ")
        assert text.endswith("}\n")
        assert json.loads(text) == schema_of(data)
