"""The catalog as an AsyncAPI 3.1 document: channels are topics, messages are event types."""

from typing import Any

from schemas.catalog import Catalog
from schemas.envelope import CONTENT_TYPE
from schemas.event import EventType
from schemas.json_schema import Schema, event_schemas
from schemas.topic import Topic

FILE = "asyncapi.json"

# Of the document, not of the program: the catalog only ever grows, so the first digit stays.
_VERSION = "1.0.0"
_KAFKA_BINDING = "0.5.0"
_DAY_MS = 86_400_000


def asyncapi(catalog: Catalog) -> Schema:
    """The document."""
    types = list(catalog.types.values())
    events, within = event_schemas(catalog, types, "#/components/schemas/{name}")
    schemas = {type_.name: event for type_, event in zip(types, events, strict=True)}
    operations = {
        f"{action}.{topic}": _operation(catalog, topic, action)
        for topic in catalog.topics
        for action in ("send", "receive")
    }
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Sixfold",
            "version": _VERSION,
            "description": "The events in Sixfold's log, as CloudEvents in structured mode.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(catalog, topic) for topic in catalog.topics.values()},
        "operations": operations,
        "components": {
            "messages": {type_.name: _message(type_) for type_ in types},
            "schemas": schemas | within,
        },
    }


def _channel(catalog: Catalog, topic: Topic) -> Schema:
    return {
        "address": topic.name,
        "messages": {
            type_.name: {"$ref": f"#/components/messages/{type_.name}"}
            for type_ in catalog.types_of(topic.name)
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": _topic_configuration(topic),
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _topic_configuration(topic: Topic) -> dict[str, Any]:
    """Kafka's settings of a topic; a retention of -1 is for ever."""
    days = topic.retention_days
    expires = days is not None or not topic.compacted
    return {
        "cleanup.policy": ["compact"] * topic.compacted + ["delete"] * expires,
        "retention.ms": -1 if days is None else days * _DAY_MS,
    }


def _operation(catalog: Catalog, topic: str, action: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [
            {"$ref": f"#/channels/{topic}/messages/{type_.name}"}
            for type_ in catalog.types_of(topic)
        ],
    }


def _message(type_: EventType) -> Schema:
    return {
        "name": type_.name,
        "summary": (type_.data.__doc__ or "").partition("\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{type_.name}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": _key(type_)},
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _key(type_: EventType) -> str:
    return f"data.{type_.key}" if type_.topic.global_keys else f"tenant/data.{type_.key}"
