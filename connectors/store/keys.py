"""Key fields of views as columns of SQLite: types that it has, in an order that is theirs."""

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
    to_sqlite: Callable[[Any], Any] | None = None
    from_sqlite: Callable[[Any], Any] | None = None


_PLAIN = _Column()
_COLUMNS: dict[type[types.Type], _Column] = {
    types.StrType: _PLAIN,
    types.IntType: _PLAIN,
    types.FloatType: _PLAIN,
    types.BytesType: _PLAIN,
    types.LiteralType: _PLAIN,
    types.BoolType: _Column(None, bool),
    types.DateType: _Column(date.isoformat, date.fromisoformat),
    types.DateTimeType: _Column(
        lambda time: (time - _EPOCH) // _MICROSECOND, lambda us: _EPOCH + us * _MICROSECOND
    ),
}


class KeyColumns:
    """The key columns of one view."""

    def __init__(self, shape: ViewShape) -> None:
        """Find out how each is stored.

        Raises:
            FoldError: a key field has a type that has no order in SQLite.
        """
        columns = [_column(shape, name) for name in shape.key]
        self._to = [c.to_sqlite for c in columns]
        self._from = [c.from_sqlite for c in columns]
        self._all_plain = all(column is _PLAIN for column in columns)

    def to_sqlite(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """A key, or the beginning of one, as it is stored."""
        return key if self._all_plain else _each(self._to, key)

    def from_sqlite(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """A key as the view has it."""
        return key if self._all_plain else _each(self._from, key)


def _column(shape: ViewShape, name: str) -> _Column:
    described = types.type_info(field_types(shape.view)[name])
    while isinstance(described, types.Metadata):
        described = described.type
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
