"""Whether old records and old readers survive the catalog as it is now.

Strict in both directions: records that were written under a published schema must decode under the
new type, and new records under the published one. So all that may change is an optional field more
at the end, and what no record shows (descriptions, retention).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from schemas import asyncapi
from schemas.catalog import Catalog
from schemas.errors import SchemaError
from schemas.json_schema import (
    MENTION,
    ORDER,
    PERSONAL,
    SUBJECT,
    TOPIC,
    Schema,
    json_schema,
    referred_name,
)

# Where a difference was found, as `data.country`, and what it is.
Difference = tuple[str, str]


class Kind(StrEnum):
    """What is the matter with an event type.

    Attributes:
        BREAKING: old records or old readers do not survive.
        UNPUBLISHED: nobody has been told of it.
        STALE: it has changed compatibly since it was published.
    """

    BREAKING = "breaking"
    UNPUBLISHED = "unpublished"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that keeps the catalog from being what is published.

    Attributes:
        type: the event type, or the published file's name without `.json`.
        field: as a path, `data.country`; None if it is about the type as a whole.
        message: what it is and what to do about it.
    """

    kind: Kind
    type: str
    field: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.type}: {self.field + ' ' if self.field else ''}{self.message}"


def check(catalog: Catalog, published: Path) -> list[Break]:
    """Compare the catalog with the published schemas of a directory.

    Raises:
        SchemaError: a published file cannot be read.
    """
    files = {path.name.removesuffix(".json"): path for path in sorted(published.glob("*.json"))}
    document = files.pop(asyncapi.FILE.removesuffix(".json"), None)
    found = [
        Break(
            Kind.BREAKING,
            name,
            None,
            "is published but not in the catalog, and records of it may be anywhere: put it back",
        )
        for name in files.keys() - catalog.types.keys()
    ]
    for name, type_ in catalog.types.items():
        old = _read_event(files[name]) if name in files else None
        found += _compare(name, old, json_schema(catalog, type_))
    if not found:
        old = _read(document) if document else None
        found += _compare_document(old, asyncapi.asyncapi(catalog))
    return sorted(found, key=lambda one: (one.kind, one.type, one.field or ""))


def differences(old: Schema, new: Schema) -> Iterator[Difference]:
    """What is not compatible between two versions of an event type's schema."""
    yield from _topic_differences(old[TOPIC], new[TOPIC])
    yield from _Comparison(old, new).schemas(old, new, "")


def _read(path: Path) -> Schema:
    try:
        schema: Schema = json.loads(path.read_bytes())
    except ValueError as error:
        raise SchemaError(f"{path} is no JSON ({error}): restore it from the repository") from error
    return schema


def _read_event(path: Path) -> Schema:
    schema = _read(path)
    if TOPIC not in schema or ORDER not in schema:
        raise SchemaError(f"{path} is no schema of an event type: restore it from the repository")
    return schema


def _compare(name: str, old: Schema | None, new: Schema) -> list[Break]:
    if old is None:
        return [Break(Kind.UNPUBLISHED, name, None, "not published: run `sixfold schemas export`")]
    advice = f": undo this, or add {_next_version(name)} beside {name}"
    breaking = [
        Break(Kind.BREAKING, name, path or None, what + advice)
        for path, what in differences(old, new)
    ]
    return breaking or _stale(name, old, new)


def _compare_document(old: Schema | None, new: Schema) -> list[Break]:
    name = asyncapi.FILE.removesuffix(".json")
    if old is None:
        return [Break(Kind.UNPUBLISHED, name, None, "not published: run `sixfold schemas export`")]
    return _stale(name, old, new)


def _stale(name: str, old: Schema, new: Schema) -> list[Break]:
    if old == new:
        return []
    return [Break(Kind.STALE, name, None, "changed compatibly: run `sixfold schemas export`")]


def _next_version(name: str) -> str:
    stem, version = re.fullmatch(r"(.+?)(?:_v(\d+))?", name).groups()  # type: ignore[union-attr]
    return f"{stem}_v{int(version or 1) + 1}"


_TOPIC_CHANGES = {
    "name": "the topic was {} and is now {}, so readers of the old one miss it",
    "key": "the key was {} and is now {}, so records that belong together part",
    "partitions": "the topic had {} partitions and now has {}, so keys move between them",
    "global_keys": "global_keys was {} and is now {}, so all keys change",
    "compacted": "compacted was {} and is now {}, so readers find other records",
}


def _topic_differences(old: Schema, new: Schema) -> Iterator[Difference]:
    for what, message in _TOPIC_CHANGES.items():
        if old[what] != new[what]:
            yield "", message.format(old[what], new[what])


@dataclass(frozen=True, slots=True)
class _Field:
    schema: Schema
    required: bool
    personal: bool

    @property
    def default(self) -> Any:
        return self.schema.get("default")


def _fields_of(schema: Schema) -> dict[str, _Field]:
    """The fields of an object, in the order of their declaration."""
    personal = schema.get(PERSONAL, {})
    required = schema.get("required", ())
    return {
        name: _Field(
            personal.get(name, schema["properties"][name]), name in required, name in personal
        )
        for name in schema[ORDER]
    }


# Keywords that are no part of the contract, or looked at together with others.
_PASSED_OVER = {"$defs", "$ref", "$schema", "title", "description", "type", "default", TOPIC}
_OF_OBJECTS = {ORDER, PERSONAL, "properties", "required"}
_MARKS = {SUBJECT: "Subject", MENTION: "Mention"}


class _Comparison:
    """Compares schemas that refer to the definitions of two documents."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old.get("$defs", {})
        self._new = new.get("$defs", {})
        self._compared: set[tuple[str, str]] = set()

    def schemas(self, old: Schema, new: Schema, path: str) -> Iterator[Difference]:
        if "$ref" in old and "$ref" in new:
            names = referred_name(old), referred_name(new)
            if names not in self._compared:  # structs may contain themselves
                self._compared.add(names)
                yield from self.schemas(self._old[names[0]], self._new[names[1]], path)
        else:
            before, after = _shape(old, self._old), _shape(new, self._new)
            if before != after:
                yield path, f"was {before} and is now {after}"
                return
            old, new = _resolved(old, self._old), _resolved(new, self._new)
        passed_over = _PASSED_OVER
        if ORDER in old and ORDER in new:
            yield from self._objects(_fields_of(old), _fields_of(new), path)
            passed_over = _PASSED_OVER | _OF_OBJECTS
        for keyword in sorted((old.keys() | new.keys()) - passed_over):
            yield from self._keyword(keyword, old.get(keyword), new.get(keyword), path)

    def _objects(
        self, old: dict[str, _Field], new: dict[str, _Field], path: str
    ) -> Iterator[Difference]:
        prefix = f"{path}." if path else ""
        for name in old.keys() - new.keys():
            yield prefix + name, "was removed or renamed"
        kept = [name for name in old if name in new]
        if kept != [name for name in new if name in old]:
            yield path, f"has its fields in another order than {', '.join(kept)}"
        elif list(new)[: len(kept)] != kept:
            first = next(name for name in new if name not in old)
            yield prefix + first, "is new, but not the last field"
        for name in new.keys() - old.keys():
            if new[name].required:
                yield prefix + name, "is new and required, but old records do not have it"
        for name in kept:
            yield from self._fields(old[name], new[name], prefix + name)

    def _fields(self, old: _Field, new: _Field, path: str) -> Iterator[Difference]:
        if old.required and not new.required:
            yield path, "was required and is now optional, but old readers need it"
        if new.required and not old.required:
            yield path, "was optional and is now required, but old records may be without it"
        if old.personal and not new.personal:
            yield path, "was Personal and is not any more, but old records have it sealed"
        if new.personal and not old.personal:
            yield path, "was not Personal and now is, but old records have it in the clear"
        if not old.required and not new.required and old.default != new.default:
            meaning = f"absence means {new.default!r}, but {old.default!r} in old records"
            yield path, f"has another default, so {meaning}"
        yield from self.schemas(old.schema, new.schema, path)

    def _keyword(self, keyword: str, old: Any, new: Any, path: str) -> Iterator[Difference]:
        if keyword == "enum":
            yield from _enums(old, new, path)
        elif keyword == "anyOf":
            old = sorted(old, key=lambda schema: _shape(schema, self._old))
            new = sorted(new, key=lambda schema: _shape(schema, self._new))
            for before, after in zip(old, new, strict=True):
                yield from self.schemas(before, after, path)
        elif keyword == "prefixItems" and old and new and len(old) == len(new):
            for place, (before, after) in enumerate(zip(old, new, strict=True)):
                yield from self.schemas(before, after, f"{path}[{place}]")
        elif isinstance(old, dict) and isinstance(new, dict):
            yield from self.schemas(old, new, f"{path}[]")
        elif keyword in _MARKS and old != new:
            yield path, f"has {'become' if new else 'stopped being'} a {_MARKS[keyword]}"
        elif old != new:
            yield path, f"had {keyword} {old!r} and now has {new!r}"


def _enums(old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
    for value in old:
        if value not in new:
            yield path, f"cannot be {value!r} any more, but old records have it"
    for value in new:
        if value not in old:
            yield path, f"can now be {value!r}, which old readers refuse"


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """A schema with what it refers to in its place."""
    return definitions[referred_name(schema)] | schema if "$ref" in schema else schema


def _shape(schema: Schema, definitions: Schema) -> str:
    """What kind of value a schema is for, in words."""
    if "$ref" in schema:
        return _shape(definitions[referred_name(schema)], definitions)
    if "enum" in schema:
        return "one of some values"
    if "anyOf" in schema:
        return " or ".join(sorted(_shape(part, definitions) for part in schema["anyOf"]))
    return str(schema.get("type", "anything"))
