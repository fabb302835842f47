"""Key fields of views as columns of a store: types that every store has, in an order that is theirs."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec.inspect as types

from schemas.fields import field_types
from streams.errors import FoldError
from streams.views import ViewShape

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Column(NamedTuple):
    """How a field is stored.

    Attributes:
        type: that of what is stored.
        stored, read: what turns a value into what is stored, and back; None if it is the same.
    """

    type: type
    stored: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None


_COLUMNS: dict[type[types.Type], _Column] = {
    types.StrType: _Column(str),
    types.IntType: _Column(int),
    types.FloatType: _Column(float, lambda number: number + 0.0),  # of -0.0 and 0 there is one
    types.BytesType: _Column(bytes),
    types.BoolType: _Column(bool, None, bool),
    types.DateType: _Column(str, date.isoformat, date.fromisoformat),
    types.DateTimeType: _Column(
        int, lambda time: (time - _EPOCH) // _MICROSECOND, lambda us: _EPOCH + us * _MICROSECOND
    ),
}


class KeyColumns:
    """The key columns of one view.

    Attributes:
        types: what each is stored as: str, int, float, bytes or bool.
    """

    def __init__(self, shape: ViewShape) -> None:
        """Find out how each is stored.

        Raises:
            FoldError: a key field has a type that has no order that all stores know.
        """
        columns = [_column(shape, name) for name in shape.key]
        self.types = [column.type for column in columns]
        self._stored = [column.stored for column in columns]
        self._read = [column.read for column in columns]
        self._are_stored_as_they_are = not any(self._stored)
        self._are_read_as_they_are = not any(self._read)

    def stored(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """A key, or the beginning of one, as it is stored."""
        return key if self._are_stored_as_they_are else _each(self._stored, key)

    def read(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """A key as the view has it."""
        return key if self._are_read_as_they_are else _each(self._read, key)


def _column(shape: ViewShape, name: str) -> _Column:
    described = types.type_info(field_types(shape.view)[name])
    while isinstance(described, types.Metadata):
        described = described.type
    if isinstance(described, types.LiteralType):
        kinds = {type(value) for value in described.values}
        if len(kinds) == 1:
            return _Column(kinds.pop())
    try:
        return _COLUMNS[type(described)]
    except KeyError:
        raise FoldError(
            f"view {shape.view.__name__}: {name} cannot be a key; keys are strings, numbers, "
            "bytes, booleans, dates or times"
        ) from None


def _each(functions: list[Callable[[Any], Any] | None], key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        value if function is None else function(value)
        for function, value in zip(functions, key, strict=False)
    )
