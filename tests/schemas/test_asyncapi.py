from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator
from sample_events import CATALOG, TYPES, declared

from schemas.asyncapi import asyncapi
from schemas.catalog import Catalog
from schemas.event import event_type_of

DOCUMENT = asyncapi(CATALOG)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def referred(reference: str) -> Any:
    part: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def test_every_reference_leads_somewhere():
    found = set(references(DOCUMENT))
    assert "#/components/schemas/Option" in found
    assert all(referred(reference) for reference in found)


def test_channels_are_topics_as_kafka_has_them():
    assert set(DOCUMENT["channels"]) == {"polls", "notices", "forgotten"}
    polls, notices, forgotten = (
        DOCUMENT["channels"][name]["bindings"]["kafka"]
        for name in ("polls", "notices", "forgotten")
    )
    assert (polls["topic"], polls["partitions"]) == ("polls", 8)
    assert polls["topicConfiguration"] == {
        "cleanup.policy": ["delete"],
        "retention.ms": 90 * 24 * 60 * 60 * 1000,
    }
    assert notices["topicConfiguration"]["cleanup.policy"] == ["compact", "delete"]
    assert forgotten["topicConfiguration"]["retention.ms"] == -1


def test_messages_are_event_types_and_broadcast_ones_are_in_several_channels():
    assert list(DOCUMENT["channels"]["polls"]["messages"]) == [
        "poll.opened",
        "poll.voted",
        "person.forgotten",
    ]
    voted = referred("#/components/messages/poll.voted")
    assert voted["contentType"] == "application/cloudevents+json"
    assert voted["summary"].startswith("A voter chose an option")
    assert referred(voted["payload"]["$ref"])["title"] == "poll.voted"
    assert "tenant/data.poll" in voted["bindings"]["kafka"]["key"]["description"]


@pytest.mark.parametrize("action", ["send", "receive"])
def test_every_channel_is_sent_to_and_received_from(action: str):
    for topic, channel in DOCUMENT["channels"].items():
        operation = DOCUMENT["operations"][f"{action}.{topic}"]
        assert operation["action"] == action
        assert referred(operation["channel"]["$ref"]) is channel
        messages = [referred(message["$ref"]) for message in operation["messages"]]
        assert messages == list(channel["messages"].values())


def test_classes_of_one_name_in_two_modules_are_two_schemas():
    tea = declared("tea.made", {"key": str, "sugar": int}).data
    coffee = declared("coffee.made", {"key": str, "milk": int}).data
    for data, module in ((tea, "schemas.tea"), (coffee, "schemas.coffee")):
        data.__name__, data.__qualname__, data.__module__ = "Made", "Made", module
    schemas = asyncapi(Catalog(map(event_type_of, (tea, coffee))))["components"]["schemas"]
    assert set(schemas["schemas.tea.Made"]["properties"]) == {"key", "sugar"}
    assert set(schemas["schemas.coffee.Made"]["properties"]) == {"key", "milk"}
    reference = schemas["coffee.made"]["properties"]["data"]["$ref"]
    assert reference == "#/components/schemas/schemas.coffee.Made"


def test_payloads_are_of_the_dialect_that_asyncapi_takes_for_granted():
    schemas = DOCUMENT["components"]["schemas"]
    assert {event_type_of(data).name for data in TYPES} <= set(schemas)
    for schema in schemas.values():
        Draft7Validator.check_schema(schema)
        assert "$defs" not in schema
