"""State: what a fold remembers, as tables of one partition.

    class State(Tables):
        choice: Table[tuple[str, Subject], int]

A table behaves like a dict that is scoped to the current record's tenant. What a batch writes is
undone if it cannot be folded to its end; keys and values must not be changed in place. `Personal`
fields of values are sealed where they are stored, and open in memory.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints, overload

import msgspec

from schemas.fields import Subject
from streams.cursor import NOWHERE, Cursor
from streams.errors import FoldError
from streams.sealing import RowSealer
from streams.subjects import Finder, finder

K = TypeVar("K")
V = TypeVar("V")
Default = TypeVar("Default")

# What seals the values of a table, by its name and their type; None if nothing of them is personal.
SealerOf = Callable[[str, Any], RowSealer | None]

_ABSENT: Any = object()
_encode = msgspec.msgpack.Encoder().encode


class Change(NamedTuple):
    """One row of state as it is stored: msgpack, and None for a deleted value."""

    table: str
    key: bytes
    value: bytes | None


class _Scope:
    """One tenant's part of a table.

    Attributes:
        before: what the keys that were written had before; to undo it.
        index: the keys of the rows that name a subject.
    """

    __slots__ = ("before", "index", "rows")

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.before: dict[Any, Any] = {}
        self.index: defaultdict[str, set[Any]] = defaultdict(set)

    def add(self, subjects: Iterable[str], key: Any) -> None:
        for subject in subjects:
            self.index[subject].add(key)

    def drop(self, subjects: Iterable[str], key: Any) -> None:
        for subject in subjects:
            keys = self.index[subject]
            keys.discard(key)
            if not keys:
                del self.index[subject]


class Table(Generic[K, V]):
    """One table of one partition.

    Rows are a dict per tenant, and the one of the current record's tenant is at hand: so a look-up
    costs what it costs in a dict.

    Attributes:
        sealer: seals values that are stored, and opens those that are loaded; if any is needed.
    """

    def __init__(self, name: str, key_type: Any, value_type: Any, cursor: Cursor) -> None:
        self.name = name
        self._decode_key = msgspec.msgpack.Decoder(tuple[str, key_type]).decode
        self._decode_value = msgspec.msgpack.Decoder(value_type).decode
        self._subjects = finder(tuple[key_type, value_type])
        self._scopes: dict[str, _Scope] = {}
        self._entered: dict[str, _Scope] = {}
        self._changed: dict[str, set[Any]] = {}
        self._scope: _Scope = NOWHERE
        self._rows: dict[K, V] = NOWHERE
        self._before: dict[K, V] = NOWHERE
        self.sealer: RowSealer | None = None
        cursor.attach(self)

    def enter(self, tenant: str | None) -> None:
        """Mean this tenant's rows from now on."""
        if tenant is None:
            self._rows = self._before = NOWHERE
            return
        self._scope = self._entered[tenant] = scope = self._scope_of(tenant)
        self._rows, self._before = scope.rows, scope.before

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: Default) -> V | Default: ...
    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self._rows.get(key, default)

    def __getitem__(self, key: K) -> V:
        return self._rows[key]

    def __setitem__(self, key: K, value: V) -> None:
        if key not in self._before:
            self._before[key] = self._rows.get(key, _ABSENT)
        self._rows[key] = value

    def __contains__(self, key: K) -> bool:
        return key in self._rows

    def __delitem__(self, key: K) -> None:
        self._before.setdefault(key, self._rows.pop(key))

    def __len__(self) -> int:
        """How many rows there are, of all tenants."""
        return sum(len(scope.rows) for scope in self._scopes.values())

    @overload
    def pop(self, key: K) -> V | None: ...
    @overload
    def pop(self, key: K, default: Default) -> V | Default: ...
    def pop(self, key: K, default: Any = None) -> Any:
        """Delete a key; its value, or the default if it had none."""
        value = self._rows.get(key, _ABSENT)
        if value is _ABSENT:
            return default
        del self[key]
        return value

    def items(self) -> Iterator[tuple[str, K, V]]:
        """Every (tenant, key, value) of all tenants, in no order; for ticks."""
        for tenant, scope in self._scopes.items():
            for key, value in scope.rows.items():
                yield tenant, key, value

    def pop_subject(self, subject: Subject) -> list[tuple[K, V]]:
        """Delete every row of the current tenant whose key or value names a subject.

        Returns:
            The deleted rows, in the order of their keys as they are stored: always the same.

        Raises:
            FoldError: neither keys nor values of this table can have a Subject or Mention.
        """
        subjects = self._subjects
        if subjects is None:
            raise FoldError(f"table {self.name}: no Subject in its keys or values to find rows by")
        rows = self._rows
        # What has not been accepted is not in the index yet.
        keys = self._scope.index.get(subject, set()) | self._before.keys()
        found = [
            (key, rows[key])
            for key in keys
            if key in rows and subject in subjects((key, rows[key]))
        ]
        for key, _ in found:
            del self[key]
        return sorted(found, key=lambda row: _encode(row[0]))

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over stored rows, at start."""
        decode_key, decode_value, sealer = self._decode_key, self._decode_value, self.sealer
        last, scope = None, NOWHERE
        for stored_key, stored_value in rows:
            tenant, key = decode_key(stored_key)
            if tenant != last:
                last, scope = tenant, self._scope_of(tenant)
            value = decode_value(stored_value)
            if sealer is not None:
                value = sealer.opened(value, tenant, key)
            scope.rows[key] = value
            if self._subjects is not None:
                scope.add(self._subjects((key, value)), key)

    @property
    def written(self) -> bool:
        """Whether anything was written that has not been accepted."""
        return any(scope.before for scope in self._entered.values())

    def rollback(self) -> None:
        """Undo what was written since the last `accept`."""
        for scope in self._entered.values():
            for key, value in scope.before.items():
                if value is _ABSENT:
                    scope.rows.pop(key, None)
                else:
                    scope.rows[key] = value
            scope.before.clear()

    def check(self) -> None:
        """See that what was written can be stored, while it can still be undone.

        Raises:
            FoldError: a value has personal fields of nobody.
            OverflowError, TypeError: a key or value cannot.
        """
        for scope in self._entered.values():
            _encode(list(scope.before))
            values = list(map(scope.rows.get, scope.before))
            _encode(values)
            if self.sealer is not None:
                self.sealer.check(values)

    def accept(self) -> None:
        """Keep what was written, for good."""
        for tenant, scope in self._entered.items():
            if not scope.before:
                continue
            if self._subjects is not None:
                self._reindex(scope, self._subjects)
            self._changed.setdefault(tenant, set()).update(scope.before)
            scope.before.clear()
        if len(self._entered) > 1:
            self._entered = {tenant: s for tenant, s in self._entered.items() if s is self._scope}

    def take(self) -> list[Change]:
        """The rows that have changed since the last call.

        Raises:
            VaultUnavailable: they cannot be sealed now.
        """
        encode, sealer, changes = _encode, self.sealer, []
        for tenant, keys in self._changed.items():
            rows = self._scopes[tenant].rows
            for key in keys:
                value = rows.get(key, _ABSENT)
                if sealer is not None and value is not _ABSENT:
                    value = sealer.sealed(value, tenant, key)
                stored = None if value is _ABSENT else encode(value)
                changes.append(Change(self.name, encode((tenant, key)), stored))
        self._changed = {}
        return changes

    def _scope_of(self, tenant: str) -> _Scope:
        scope = self._scopes.get(tenant)
        if scope is None:
            scope = self._scopes[tenant] = _Scope()
        return scope

    def _reindex(self, scope: _Scope, subjects: Finder) -> None:
        for key, before in scope.before.items():
            if before is not _ABSENT:
                scope.drop(subjects((key, before)), key)
            if key in scope.rows:
                scope.add(subjects((key, scope.rows[key])), key)


class GlobalTable(Table[K, V]):
    """A table that all tenants share: who is first to claim a short key, for one."""


class Tables:
    """Base class of a fold's state: its annotations are its tables.

    Raises:
        FoldError: an annotation is no `Table[key, value]`.
    """

    def __init__(self, cursor: Cursor, sealer_of: SealerOf = lambda name, values: None) -> None:
        self._tables: dict[str, Table[Any, Any]] = {}
        for name, kind, key_type, value_type in declared(type(self)):
            # A cursor of its own stays with no tenant, whichever record is folded.
            scope = cursor if kind is Table else Cursor(cursor.partition)
            table = self._tables[name] = Table(name, key_type, value_type, scope)
            table.sealer = sealer_of(name, value_type)
            setattr(self, name, table)

    def load(self, name: str, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over the stored rows of one table; those of a table that is no more are ignored."""
        if name in self._tables:
            self._tables[name].load(rows)

    @property
    def written(self) -> bool:
        """Whether anything was written that has not been accepted."""
        return any(table.written for table in self._tables.values())

    def rollback(self) -> None:
        """Undo what was written since the last `accept`."""
        for table in self._tables.values():
            table.rollback()

    def accept(self) -> None:
        """Keep what was written, for good.

        Raises:
            FoldError, OverflowError, TypeError: something cannot be stored; nothing was accepted.
        """
        for table in self._tables.values():
            table.check()
        for table in self._tables.values():
            table.accept()

    def take(self) -> list[Change]:
        """What has changed since the last call, as it is to be stored.

        Raises:
            VaultUnavailable: personal fields cannot be sealed now.
        """
        return [change for table in self._tables.values() for change in table.take()]


def declared(state: type[Tables]) -> Iterator[tuple[str, Any, Any, Any]]:
    """Name, kind, key type and value type of each table of a fold's state.

    Raises:
        FoldError: an annotation is no `Table[key, value]`.
    """
    for name, annotation in get_type_hints(state, include_extras=True).items():
        kind = get_origin(annotation)
        if kind not in (Table, GlobalTable):
            raise FoldError(f"state {name}: annotate it as Table[key, value]")
        yield name, kind, *get_args(annotation)
