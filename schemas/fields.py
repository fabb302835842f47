"""Markers for the fields of event types, of state and of views.

| marker          | meaning                                                                |
|-----------------|------------------------------------------------------------------------|
| `Subject`       | a pseudonym: whose event or row this is; at most one per event type    |
| `Mention`       | a pseudonym of somebody else; indexed for erasure                      |
| `Personal[T]`   | personal data: never stored in the clear, sealed under the subject's key |
| `PlainIndex[T]` | personal data of a row that is searched, and so stored in the clear    |
| `Sealed`        | where a row of state or of a view keeps its `Personal` fields, sealed  |
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

_PLAIN_INDEX = msgspec.Meta(extra={"sixfold": "plain index"})
PlainIndex = Annotated[T, _PERSONAL, _PLAIN_INDEX]

_SEALED = msgspec.Meta(extra={"sixfold": "sealed"})
Sealed = Annotated[str | None, _SEALED]


def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Every field of a struct with its annotation, in declaration order, markers kept."""
    hints = get_type_hints(struct, include_extras=True)
    return {name: hints[name] for name in struct.__struct_fields__}


def is_personal(annotation: object) -> bool:
    """Whether a field so annotated holds personal data."""
    return has_marker(annotation, _PERSONAL)


def is_plain_index(annotation: object) -> bool:
    """Whether a field so annotated holds personal data in the clear."""
    return has_marker(annotation, _PLAIN_INDEX)


def is_sealed(annotation: object) -> bool:
    """Whether a field so annotated is where a row's personal fields are, sealed."""
    return has_marker(annotation, _SEALED)


def is_subject(annotation: object) -> bool:
    """Whether a field so annotated is one subject, or nobody."""
    return {_unmarked(part) for part in without_none(_unmarked(annotation))} == {Subject}


def has_personal_parts(annotation: object) -> bool:
    """Whether there is personal data within an annotation, or within structs in it."""
    return any(is_personal(part) for part in walk_into_structs(annotation))


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


def _unmarked(annotation: object) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


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
