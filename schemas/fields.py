"""Markers for the fields of event types.

| marker        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| `Subject`     | a pseudonym: whose event this is; at most one per event type             |
| `Mention`     | a pseudonym of somebody else; indexed for erasure                        |
| `Personal[T]` | personal data: never in `data`, sealed under the subject's key           |
"""

from collections.abc import Iterator
from typing import Annotated, Any, NewType, TypeVar, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")

Subject = NewType("Subject", str)
Mention = NewType("Mention", str)

_PERSONAL = msgspec.Meta(extra={"sixfold": "personal"})
Personal = Annotated[T, _PERSONAL]


def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Every field of a struct with its annotation, in declaration order, markers kept."""
    hints = get_type_hints(struct, include_extras=True)
    return {name: hints[name] for name in struct.__struct_fields__}


def is_personal(annotation: object) -> bool:
    """Whether a field so annotated holds personal data."""
    return has_marker(annotation, _PERSONAL)


def has_marker(annotation: object, marker: msgspec.Meta) -> bool:
    """Whether `marker` stands anywhere in an annotation: `Personal[str] | None` has it too."""
    return any(
        get_origin(part) is Annotated and marker in part.__metadata__ for part in walk(annotation)
    )


def mentions_type(annotation: object, wanted: object) -> bool:
    """Whether a type stands anywhere in an annotation: `tuple[str, Subject]` has `Subject`."""
    return any(part is wanted for part in walk(annotation))


def walk(annotation: object) -> Iterator[Any]:
    """An annotation and everything it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from walk(part)
