"""What of a row of state or of a view is personal: it is sealed before the row is stored.

    class Message(View):
        room: Partition[str]
        id: Clustering[str]
        author: Subject
        text: Personal[str] | None = None
        sealed: Sealed = None

The row names one subject, under whose key its `Personal` fields are sealed into the field `Sealed`.
The same goes for structs that are values of a table of state.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec

from schemas.fields import (
    Subject,
    field_types,
    has_personal_parts,
    is_personal,
    is_plain_index,
    is_sealed,
    is_subject,
    mentions_type,
)
from streams.errors import FoldError

R = TypeVar("R", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class PersonalShape:
    """Which fields of a row are sealed, for whom, and where they are then.

    Attributes:
        fields: names of the personal fields.
        values: a struct of these.
    """

    subject: str
    fields: tuple[str, ...]
    sealed: str
    values: type[msgspec.Struct]

    def values_of(self, row: Any) -> dict[str, Any]:
        """The personal fields that a row has.

        Raises:
            FoldError: the row names nobody whose they are.
        """
        values = {f: value for f in self.fields if (value := getattr(row, f)) is not None}
        if values and getattr(row, self.subject) is None:
            raise FoldError(
                f"{type(row).__name__}: personal fields, but no {self.subject} to seal them for"
            )
        return values

    def with_blob(self, row: R, blob: str | None) -> R:
        """A row with its personal fields absent, or rather sealed in a blob."""
        return msgspec.structs.replace(row, **dict.fromkeys(self.fields), **{self.sealed: blob})


@cache
def personal_shape(struct: type[msgspec.Struct]) -> PersonalShape | None:
    """What is sealed of the rows of a struct; None if nothing is.

    Raises:
        FoldError: personal fields that cannot be sealed.
    """
    name, types = struct.__name__, field_types(struct)
    _refuse_parts(name, types)
    personal = tuple(f for f, a in types.items() if is_personal(a) and not is_plain_index(a))
    if not personal:
        return None
    subjects = [f for f, annotation in types.items() if mentions_type(annotation, Subject)]
    if len(subjects) != 1 or not is_subject(types[subjects[0]]):
        raise FoldError(
            f"{name}: Personal fields need exactly one field that is a Subject, under whose key "
            f"they are sealed, not {', '.join(subjects) or 'none'}"
        )
    sealed = [f for f, annotation in types.items() if is_sealed(annotation)]
    if len(sealed) != 1:
        raise FoldError(f"{name}: keep its Personal fields in one field `sealed: Sealed = None`")
    defaults = {field.name: field.default for field in msgspec.structs.fields(struct)}
    for field in (*personal, *sealed):
        if defaults[field] is not None:
            raise FoldError(f"{name}.{field}: must be optional, with None as its default")
    values = msgspec.defstruct(f"{name}Personal", [(f, types[f], None) for f in personal])
    return PersonalShape(subjects[0], personal, sealed[0], values)


def is_still_sealed(row: msgspec.Struct) -> bool:
    """Whether a row has personal fields that were not opened, or whose subject was erased."""
    shape = personal_shape(type(row))
    return shape is not None and getattr(row, shape.sealed) is not None


def _refuse_parts(name: str, types: dict[str, Any]) -> None:
    """Sealing sees the fields of a row, and not what is within them."""
    for field, annotation in types.items():
        if has_personal_parts(annotation) and not is_personal(annotation):
            raise FoldError(
                f"{name}.{field}: Personal marks fields of {name} itself, not those of a struct "
                "within it"
            )
