"""Effects: what a fold wants to happen. Nothing does before the commit."""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec

from schemas.event import Data
from streams.cursor import NO_TENANT, NOWHERE, Cursor
from streams.errors import FoldError
from streams.sealing import ViewSealer
from streams.views import MAX_KEY_CHARS, Key, View, shape_of

_encode = msgspec.msgpack.Encoder().encode
_MIN, _MAX = -(1 << 63), (1 << 63) - 1


class Emitted(NamedTuple):
    """An event to append."""

    data: Data
    tenant: str
    time: datetime
    cause: str
    ordinal: int
    traceparent: str | None


# What seals the rows of a view; None if nothing of them is personal.
SealerOf = Callable[[type[View]], ViewSealer | None]

# The rows of one view that change, by tenant and key: a new row, or None for one that goes.
Rows = dict[tuple[str, Key], View | None]


class Effects:
    """The view rows and events that batches bring about."""

    def __init__(self, cursor: Cursor, sealer_of: SealerOf = lambda view: None) -> None:
        self._cursor = cursor
        self._sealer_of = sealer_of
        self._targets: dict[type[View], _Target] = NOWHERE
        self._of_tenant: dict[str, dict[type[View], _Target]] = {}
        self._kept: dict[tuple[type[View], str], dict[Any, View | None]] = {}
        self.emitted: list[Emitted] = []
        cursor.attach(self)

    def enter(self, tenant: str | None) -> None:
        """Mean this tenant's rows from now on."""
        self._targets = NOWHERE if tenant is None else self._of_tenant.setdefault(tenant, {})

    @property
    def partition(self) -> int:
        """The partition that is being folded."""
        return self._cursor.partition

    def put(self, row: View) -> None:
        """Write a view row, instead of the one with its key."""
        target = self._targets.get(type(row)) or self._target(type(row))
        target.rows[target.key(row)] = row

    def delete(self, view: type[View], *key: Any) -> None:
        """Delete the view row with this whole key, if there is one."""
        names = shape_of(view).key
        if len(key) != len(names):
            raise FoldError(f"{view.__name__} has the key {names}, not {len(key)} values")
        target = self._targets.get(view) or self._target(view)
        target.rows[key if len(key) > 1 else key[0]] = None

    def emit(self, data: Data) -> None:
        """Append an event that the current record brought about, at the time of that record."""
        cursor = self._cursor
        event = cursor.event
        cause = f"{cursor.topic}/{cursor.partition}/{cursor.offset}"
        last = self.emitted[-1] if self.emitted else None
        ordinal = last.ordinal + 1 if last is not None and last.cause == cause else 0
        self.emitted.append(
            Emitted(data, event.tenant, event.time, cause, ordinal, event.traceparent)
        )

    def rollback(self) -> None:
        """Forget what was brought about since the last `accept`."""
        self._of_tenant = {}
        self.emitted = []

    def check(self) -> None:
        """See that rows can be stored, while they can still be forgotten.

        Raises:
            FoldError: one has personal fields of nobody.
            OverflowError, TypeError: one cannot, or not in every store.
        """
        for targets in self._of_tenant.values():
            for target in targets.values():
                target.check()

    def accept(self) -> None:
        """Keep what was brought about."""
        for targets in self._of_tenant.values():
            for view, target in targets.items():
                self._kept.setdefault((view, target.tenant), {}).update(target.rows)
        self.rollback()

    def take(self) -> dict[type[View], Rows]:
        """The rows that have changed since the last call, as they are to be stored.

        Raises:
            VaultUnavailable: personal fields cannot be sealed now.
        """
        taken: dict[type[View], Rows] = {}
        for (view, tenant), rows in self._kept.items():
            sealer = self._sealer_of(view)
            stored = rows if sealer is None else _sealed(rows, sealer, tenant)
            if len(shape_of(view).key) > 1:
                changed = {(tenant, key): row for key, row in stored.items()}
            else:
                changed = {(tenant, (key,)): row for key, row in stored.items()}
            taken.setdefault(view, {}).update(changed)
        self._kept = {}
        return taken

    def _target(self, view: type[View]) -> "_Target":
        """Where the current tenant's rows of a view are collected; global ones are nobody's."""
        if view.GLOBAL:
            shared = self._of_tenant.setdefault(NO_TENANT, {})
            target = shared.setdefault(view, _Target(view, NO_TENANT, self._sealer_of(view)))
        else:
            target = _Target(view, self._cursor.tenant or NO_TENANT, self._sealer_of(view))
        self._targets[view] = target
        return target


class _Target:
    """Where changed rows of one view and tenant are collected, by the values of their keys."""

    __slots__ = ("_integers", "_is_whole", "_sealer", "_texts", "key", "rows", "tenant")

    def __init__(self, view: type[View], tenant: str, sealer: ViewSealer | None) -> None:
        shape = shape_of(view)
        self.tenant = tenant
        self.key = attrgetter(*shape.key)
        self.rows: dict[Any, View | None] = {}
        self._sealer = sealer
        self._integers = shape.integers
        self._texts = shape.texts
        self._is_whole = len(shape.key) == 1  # then keys are values, and no tuples of them

    def check(self) -> None:
        _encode(list(self.rows.values()))
        if self._sealer is not None:
            self._sealer.check(self.rows.values())
        if self._integers:
            for key in self.rows:
                whole = (key,) if self._is_whole else key
                if not all(_MIN <= whole[i] <= _MAX for i in self._integers):
                    raise OverflowError("an integer in a key has more than 64 bits")
        for i in self._texts:
            texts = self.rows if self._is_whole else map(itemgetter(i), self.rows)
            if max(map(len, texts), default=0) > MAX_KEY_CHARS:
                raise OverflowError(f"a text in a key has more than {MAX_KEY_CHARS} characters")


def _sealed(
    rows: dict[Any, View | None], sealer: ViewSealer, tenant: str
) -> dict[Any, View | None]:
    return {key: None if row is None else sealer.sealed(row, tenant) for key, row in rows.items()}


class DueEvent(NamedTuple):
    """An event that a tick finds due.

    Attributes:
        at: when it fell due; with fold, type, tenant and key it makes the event's id, so that the
            same event found twice has the same id.
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
