"""The fields of a view that are no key, as one value: msgpack of an array."""

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.fields import field_types
from streams.views import View, shape_of

_encode = msgspec.msgpack.Encoder().encode


class Values:
    """Encodes and decodes what the rows of one view hold besides their keys."""

    def __init__(self, view: type[View]) -> None:
        self._names = shape_of(view).values
        self._decode = msgspec.msgpack.Decoder(_struct(view)).decode

    def encode(self, row: View) -> bytes:
        """The values of a row."""
        return _encode([getattr(row, name) for name in self._names])

    def decode(self, value: bytes) -> Iterator[Any]:
        """What was encoded, in order; fields that the view did not have then have their defaults."""
        decoded = self._decode(value)
        return (getattr(decoded, name) for name in self._names)


def _struct(view: type[View]) -> type[msgspec.Struct]:
    """The fields of a view that are not its key, as an array-like struct.

    An array, because rows are many and names would be repeated in each. Fields that were added to
    the view at its end have their defaults in rows that were written before.
    """
    types = field_types(view)
    defaults = {field.name: field for field in msgspec.structs.fields(view)}
    fields: list[Any] = []
    for name in shape_of(view).values:
        field = defaults[name]
        if field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
            fields.append((name, types[name], default))
        elif field.default is not msgspec.NODEFAULT:
            fields.append((name, types[name], field.default))
        else:
            fields.append((name, types[name]))
    return msgspec.defstruct(f"{view.__name__}Values", fields, array_like=True, gc=False)
