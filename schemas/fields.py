"""Markers for the fields of event types.

| marker        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| `Subject`     | a pseudonym: whose event this is; at most one per event type             |
| `Mention`     | a pseudonym of somebody else; indexed for erasure                        |
| `Personal[T]` | personal data: never in `data`, sealed under the subject's key           |
"""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

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


def is_marked(annotation: object) -> bool:
    """Whether an annotation names a person or holds personal data, within structs too."""
    return any(
        is_personal(part) or mentions_type(part, Subject) or mentions_type(part, Mention)
        for part in walk_into_structs(annotation)
    )


def alternatives(annotation: object) -> tuple[Any, ...]:
    """The parts of a union; of anything else, itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def without_none(annotation: object) -> frozenset[Any]:
    """The alternatives of an annotation, without None."""
    return frozenset(part for part in alternatives(annotation) if part is not NoneType)


def walk(annotation: object) -> Iterator[Any]:
    """An annotation and everything it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from walk(part)


def walk_into_structs(annotation: object) -> Iterator[Any]:
    """As `walk`, and on into the fields of structs, dataclasses and the like."""
    todo, seen = [annotation], set[Any]()
    while todo:
        for part in walk(todo.pop()):
            yield part
            if isinstance(part, type) and hasattr(part, "__annotations__") and part not in seen:
                seen.add(part)
                todo += get_type_hints(part, include_extras=True).values()
