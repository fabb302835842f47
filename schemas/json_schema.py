"""JSON Schemas (dialect 2020-12) of event types: of the whole record, envelope and data.

What JSON Schema has no word for is said by extension keywords:

| keyword               | at             | says                                                      |
|-----------------------|----------------|-----------------------------------------------------------|
| `x-sixfold-topic`     | the event      | topic, key, partitions, retention and so on               |
| `x-sixfold-order`     | an object      | its fields in the order of their declaration              |
| `x-sixfold-personal`  | the data       | schemas of the fields that are sealed, and not in data    |
| `x-sixfold-subject`   | a field        | it is the pseudonym whose event this is                   |
| `x-sixfold-mention`   | a field        | it holds pseudonyms of others                             |
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from schemas.catalog import Catalog
from schemas.event import EventType

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TOPIC = "x-sixfold-topic"
ORDER = "x-sixfold-order"
PERSONAL = "x-sixfold-personal"
SUBJECT = "x-sixfold-subject"
MENTION = "x-sixfold-mention"


def json_schema(catalog: Catalog, type_: EventType) -> Schema:
    """The schema of one event type's records, complete in itself."""
    (event,), within = event_schemas(catalog, [type_], "#/$defs/{name}")
    return {"$schema": DIALECT, **event, "$defs": within}


def event_schemas(
    catalog: Catalog, types: Sequence[EventType], ref_template: str
) -> tuple[list[Schema], dict[str, Schema]]:
    """The schemas of event types, and by name those that they refer to by `ref_template`."""
    envelopes = [catalog.envelope(type_.data) for type_ in types]
    refs, within = msgspec.json.schema_components(envelopes, ref_template=ref_template)
    within = {name: _without_discriminators(schema) for name, schema in within.items()}
    for schema in within.values():
        if "properties" in schema:
            schema[ORDER] = list(schema["properties"])
    events = [within.pop(referred_name(ref)) for ref in refs]
    for type_, event in zip(types, events, strict=True):
        data = within[referred_name(event["properties"]["data"])]
        _mark_fields(type_, data)
        # Data comes first, so that the envelope can get new fields at its end.
        order = ["data", *(name for name in event[ORDER] if name != "data")]
        event |= {
            "title": type_.name,
            "description": data["description"],
            ORDER: order,
            TOPIC: asdict(type_.topic) | {"key": type_.key},
        }
    return events, within


def referred_name(reference: Schema) -> str:
    """The name of the schema that a `$ref` points to."""
    return str(reference["$ref"].rpartition("/")[2])


def render(document: Schema) -> str:
    """A document as the text of its file: the same for the same catalog, and easy to diff."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _mark_fields(type_: EventType, data: Schema) -> None:
    fields: dict[str, Any] = data["properties"]
    if type_.subject:
        fields[type_.subject][SUBJECT] = True
    for name in type_.mentions:
        fields[name][MENTION] = True
    if type_.personal:
        data[PERSONAL] = {name: fields[name] for name in type_.personal}
        fields.update(dict.fromkeys(type_.personal, False))  # the schema that nothing satisfies


def _without_discriminators(schema: Any) -> Any:
    """A schema without msgspec's `discriminator`, which AsyncAPI writes differently.

    Nothing is lost: each alternative says which tag it has.
    """
    if isinstance(schema, dict):
        return {
            key: _without_discriminators(value)
            for key, value in schema.items()
            if not (key == "discriminator" and "propertyName" in value)
        }
    if isinstance(schema, list):
        return [_without_discriminators(part) for part in schema]
    return schema
