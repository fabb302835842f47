"""State: what a fold remembers, as tables of one partition.

    class State(Tables):
        choice: Table[tuple[str, Subject], int]

A table behaves like a dict that is scoped to the current record's tenant. What a batch writes is
undone if it cannot be folded to its end; keys and values must not be changed in place.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints, overload

import msgspec

from schemas.fields import Mention, Subject, field_types, mentions_type
from streams.cursor import Cursor
from streams.errors import FoldError

K = TypeVar("K")
V = TypeVar("V")
Default = TypeVar("Default")

# A key's place in a table: the tenant and the key.
Place = tuple[str, Any]

_ABSENT: Any = object()


class Change(NamedTuple):
    """One row of state as it is stored: msgpack, and None for a deleted value."""

    table: str
    key: bytes
    value: bytes | None


class Table(Generic[K, V]):
    """One table of one partition."""

    def __init__(self, name: str, key_type: Any, value_type: Any, cursor: Cursor) -> None:
        self.name = name
        self._cursor = cursor
        self._rows: dict[Place, V] = {}
        self._undo: dict[Place, V] = {}
        self._dirty: set[Place] = set()
        self._decode_key = msgspec.msgpack.Decoder(tuple[str, key_type]).decode
        self._decode_value = msgspec.msgpack.Decoder(value_type).decode
        self._subjects = _subjects_of(key_type, value_type)
        self._index: defaultdict[Place, set[Any]] = defaultdict(set)

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: Default) -> V | Default: ...
    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self._rows.get((self._cursor.tenant, key), default)

    def __getitem__(self, key: K) -> V:
        try:
            return self._rows[self._cursor.tenant, key]
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: K, value: V) -> None:
        place = (self._cursor.tenant, key)
        if place not in self._undo:
            self._undo[place] = self._rows.get(place, _ABSENT)
        self._rows[place] = value

    def __contains__(self, key: K) -> bool:
        return (self._cursor.tenant, key) in self._rows

    def __delitem__(self, key: K) -> None:
        place = (self._cursor.tenant, key)
        if place not in self._rows:
            raise KeyError(key)
        value = self._rows.pop(place)
        self._undo.setdefault(place, value)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def pop(self, key: K) -> V | None: ...
    @overload
    def pop(self, key: K, default: Default) -> V | Default: ...
    def pop(self, key: K, default: Any = None) -> Any:
        """Delete a key; its value, or the default if it had none."""
        value = self.get(key, _ABSENT)
        if value is _ABSENT:
            return default
        del self[key]
        return value

    def items(self) -> Iterator[tuple[str, K, V]]:
        """Every (tenant, key, value) of all tenants, in no order; for ticks."""
        for (tenant, key), value in self._rows.items():
            yield tenant, key, value

    def pop_subject(self, subject: Subject) -> list[tuple[K, V]]:
        """Delete every row of the current tenant whose key or value names a subject.

        Raises:
            FoldError: neither keys nor values of this table have a Subject or Mention.
        """
        if self._subjects is None:
            raise FoldError(f"table {self.name}: no Subject in its keys or values to find rows by")
        tenant = self._cursor.tenant
        # The index is brought up to date when a batch is accepted; what it wrote stands in _undo.
        keys = self._index.get((tenant, subject), set()) | {
            key for (of, key) in self._undo if of == tenant
        }
        found = [(key, value) for key in keys if (value := self.get(key, _ABSENT)) is not _ABSENT]
        found = [(key, value) for key, value in found if subject in self._subjects(key, value)]
        for key, _ in found:
            del self[key]
        return found

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over stored rows, at start."""
        decode_key, decode_value = self._decode_key, self._decode_value
        self._rows.update((decode_key(key), decode_value(value)) for key, value in rows)
        if self._subjects is not None:
            for place, value in self._rows.items():
                self._add_to_index(place, value)

    def rollback(self) -> None:
        """Undo what was written since the last `accept`."""
        for place, value in self._undo.items():
            if value is _ABSENT:
                self._rows.pop(place, None)
            else:
                self._rows[place] = value
        self._undo = {}

    @property
    def written(self) -> bool:
        """Whether anything was written that has not been accepted."""
        return bool(self._undo)

    def accept(self) -> None:
        """Keep what has been written, for good."""
        if self._subjects is not None:
            self._reindex()
        self._dirty.update(self._undo)
        self._undo = {}

    def take(self) -> list[Change]:
        """The rows that have changed since the last call, as they are to be stored."""
        rows, encode = self._rows, _encode
        changes = [
            Change(self.name, encode(place), encode(rows[place]) if place in rows else None)
            for place in self._dirty
        ]
        self._dirty = set()
        return changes

    def _reindex(self) -> None:
        for place, before in self._undo.items():
            if before is not _ABSENT:
                self._drop_from_index(place, before)
            if place in self._rows:
                self._add_to_index(place, self._rows[place])

    def _add_to_index(self, place: Place, value: V) -> None:
        assert self._subjects is not None
        for subject in self._subjects(place[1], value):
            self._index[place[0], subject].add(place[1])

    def _drop_from_index(self, place: Place, value: V) -> None:
        assert self._subjects is not None
        for subject in self._subjects(place[1], value):
            keys = self._index[place[0], subject]
            keys.discard(place[1])
            if not keys:
                del self._index[place[0], subject]


class GlobalTable(Table[K, V]):
    """A table that all tenants share: who is first to claim a short key, for one."""


_encode = msgspec.msgpack.Encoder().encode


class Tables:
    """Base class of a fold's state: its annotations are its tables.

    Raises:
        FoldError: an annotation is no `Table[key, value]`.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._tables: dict[str, Table[Any, Any]] = {}
        for name, annotation in get_type_hints(type(self), include_extras=True).items():
            kind = get_origin(annotation)
            if kind not in (Table, GlobalTable):
                raise FoldError(f"state {name}: annotate it as Table[key, value]")
            key_type, value_type = get_args(annotation)
            # A cursor of its own stays with no tenant, whichever record is folded.
            scope = cursor if kind is Table else Cursor(cursor.partition)
            self._tables[name] = Table(name, key_type, value_type, scope)
            setattr(self, name, self._tables[name])

    def load(self, name: str, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over the stored rows of one table; those of a table that is no more are ignored."""
        if name in self._tables:
            self._tables[name].load(rows)

    def rollback(self) -> None:
        """Undo what was written since the last `accept`."""
        for table in self._tables.values():
            table.rollback()

    @property
    def written(self) -> bool:
        """Whether anything was written that has not been accepted."""
        return any(table.written for table in self._tables.values())

    def accept(self) -> None:
        """Keep what has been written, for good."""
        for table in self._tables.values():
            table.accept()

    def take(self) -> list[Change]:
        """What has changed since the last call, as it is to be stored."""
        return [change for table in self._tables.values() for change in table.take()]


Subjects = Callable[[Any, Any], tuple[str, ...]]


def _subjects_of(key_type: Any, value_type: Any) -> Subjects | None:
    """How to find the pseudonyms in a row, or None if there can be none."""
    in_key, in_value = _finder(key_type), _finder(value_type)
    if in_key and in_value:
        return lambda key, value: in_key(key) + in_value(value)
    if in_key:
        return lambda key, _: in_key(key)
    if in_value:
        return lambda _, value: in_value(value)
    return None


def _finder(annotation: Any) -> Callable[[Any], tuple[str, ...]] | None:
    if annotation in (Subject, Mention):
        return lambda value: (value,)
    if get_origin(annotation) is tuple:
        places = [i for i, part in enumerate(get_args(annotation)) if _names_person(part)]
        return (lambda value: tuple(value[i] for i in places)) if places else None
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        names = [name for name, part in field_types(annotation).items() if _names_person(part)]
        if names:
            return lambda value: tuple(
                s for name in names if (s := getattr(value, name)) is not None
            )
    return None


def _names_person(annotation: Any) -> bool:
    return mentions_type(annotation, Subject) or mentions_type(annotation, Mention)
