"""Effects: what a fold wants to happen. Nothing does before the commit."""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from schemas.event import Data
from streams.cursor import NO_TENANT, Cursor
from streams.errors import FoldError
from streams.views import Key, View, shape_of

# A view row to write, or to delete if it is None, and the offset of the record that brought it
# about: of two changes the one with the higher offset is the newer.
RowChange = tuple[View | None, int]


class Emitted(NamedTuple):
    """An event to append."""

    data: Data
    tenant: str
    time: datetime
    cause: str
    ordinal: int
    traceparent: str | None


# The rows of one view that change, by tenant and key: a later change replaces an earlier one.
Rows = dict[tuple[str, Key], RowChange]


class Effects:
    """The view rows and events that one batch brings about."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._targets: dict[type[View], _Target] = {}
        self.emitted: list[Emitted] = []
        self._emitted_at = (-1, -1)

    @property
    def partition(self) -> int:
        """The partition that is being folded."""
        return self._cursor.partition

    def put(self, row: View) -> None:
        """Write a view row, instead of the one with its key."""
        view = type(row)
        target = self._targets.get(view) or self._target(view)
        cursor = self._cursor
        change = (row, cursor.offsets[cursor.index])
        target.rows[NO_TENANT if target.is_global else cursor.tenant, target.key(row)] = change

    def delete(self, view: type[View], *key: Any) -> None:
        """Delete the view row with this whole key, if there is one."""
        if len(key) != len(shape_of(view).key):
            raise FoldError(
                f"{view.__name__} has the key {shape_of(view).key}, not {len(key)} values"
            )
        target = self._targets.get(view) or self._target(view)
        tenant = NO_TENANT if target.is_global else self._cursor.tenant
        target.rows[tenant, key] = (None, self._cursor.offset)

    def emit(self, data: Data) -> None:
        """Append an event that the current record brought about, at the time of that record."""
        cursor = self._cursor
        event, offset = cursor.event, cursor.offset
        at, last = self._emitted_at
        ordinal = last + 1 if at == offset else 0
        self._emitted_at = (offset, ordinal)
        cause = f"{cursor.topic}/{cursor.partition}/{offset}"
        self.emitted.append(
            Emitted(data, event.tenant, event.time, cause, ordinal, event.traceparent)
        )

    @property
    def rows(self) -> dict[type[View], Rows]:
        """The changed rows, by view."""
        return {view: target.rows for view, target in self._targets.items()}

    def merge(self, later: "Effects") -> None:
        """Add what a later part of the same batch brings about."""
        for view, rows in later.rows.items():
            (self._targets.get(view) or self._target(view)).rows.update(rows)
        self.emitted += later.emitted

    def _target(self, view: type[View]) -> "_Target":
        target = self._targets[view] = _Target(view)
        return target


class _Target:
    """Where changed rows of one view are collected."""

    __slots__ = ("is_global", "key", "rows")

    def __init__(self, view: type[View]) -> None:
        names = shape_of(view).key
        get = attrgetter(*names)
        self.key: Callable[[View], Key] = get if len(names) > 1 else lambda row: (get(row),)
        self.is_global = view.GLOBAL
        self.rows: Rows = {}


class DueEvent(NamedTuple):
    """An event that a tick finds due.

    Attributes:
        at: when it fell due; with fold, tenant and key it makes the event's id, so that the same
            event found twice has the same id.
    """

    data: Data
    tenant: str
    at: datetime


class Due:
    """What a tick may do: emit."""

    def __init__(self) -> None:
        self.events: list[DueEvent] = []

    def emit(self, data: Data, tenant: str, at: datetime) -> None:
        """Append an event that fell due at a time."""
        self.events.append(DueEvent(data, tenant, at))
