"""The data map: where every subject's data lives, and how it leaves.

Events are known from the catalog. Tables of state and views are described by whoever wires the
folds, as plain values.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from schemas.catalog import Catalog
from schemas.event import EventType
from schemas.fields import (
    Mention,
    Subject,
    has_personal_parts,
    mentions_type,
    walk_into_structs,
)

Protection = Literal["sealed", "plain index", "pseudonym"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A table of a fold's state, or a view.

    Attributes:
        name: as operators know it: `polls.choice`, `tally`.
        fields: the annotation of every field, keys included.
        sealed: fields that are sealed again, under the key of the row's subject.
        plain_index: fields that are searched in plain text; erasure deletes their rows physically.
    """

    kind: Literal["state", "view"]
    name: str
    fields: Mapping[str, Any]
    sealed: frozenset[str] = frozenset()
    plain_index: frozenset[str] = frozenset()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One place where data of subjects lives.

    Attributes:
        persons: fields that hold pseudonyms.
        topic, lake_table, retention_days: of events; without a lake table they are not archived,
            without a retention they are kept until they are erased.
        protection: how it is kept from those who read the store; a place has a row per protection.
        erasure: what happens to it when a subject is erased.
    """

    kind: Literal["event", "state", "view"]
    name: str
    persons: tuple[str, ...]
    personal: tuple[str, ...]
    topic: str | None = None
    lake_table: str | None = None
    retention_days: int | None = None
    protection: Protection
    erasure: str


class Unplaced(msgspec.Struct, frozen=True):
    """A personal field that erasure would not reach, or that lies in the clear."""

    name: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}.{self.field}: {self.message}"


class DataMap:
    """Where every subject's data lives.

    Attributes:
        rows: the places; events in the catalog's order, then stores.
    """

    def __init__(self, catalog: Catalog, stores: Iterable[Store] = ()) -> None:
        self._types = tuple(catalog.types.values())
        self._stores = tuple(stores)
        self.rows = [row for type_ in self._types for row in _rows_of_type(type_)]
        self.rows += [row for store in self._stores for row in _rows_of_store(store)]

    def unplaced(self) -> list[Unplaced]:
        """The personal fields that the map does not place."""
        found = [problem for type_ in self._types for problem in _unplaced_in_type(type_)]
        return found + [problem for store in self._stores for problem in unplaced_in(store)]


def check(catalog: Catalog, stores: Iterable[Store] = ()) -> list[Unplaced]:
    """The personal fields that the data map does not place."""
    return DataMap(catalog, stores).unplaced()


def _rows_of_type(type_: EventType) -> Iterable[Row]:
    persons = (type_.subject, *type_.mentions) if type_.subject else type_.mentions
    if not persons:
        return
    topic = type_.topic
    table = topic.name if topic.archived else None
    yield Row(
        kind="event",
        name=type_.name,
        persons=persons,
        personal=type_.personal,
        topic=topic.name,
        lake_table=table,
        retention_days=topic.retention_days,
        protection="sealed" if type_.personal else "pseudonym",
        erasure=_erasure_of_events(type_, table),
    )


def _erasure_of_events(type_: EventType, table: str | None) -> str:
    if type_.broadcast:
        return "none: it is the record of the erasure itself"
    steps = ["the subject's key is destroyed"] if type_.personal else []
    steps += ["the topic's segments are rewritten"]
    if table:
        steps += [
            f"the lake's {'bucket of the subject' if type_.subject else 'table'} is rewritten"
        ]
    return ", ".join(steps)


def _rows_of_store(store: Store) -> Iterable[Row]:
    persons = _persons(store)
    personal = _personal(store)
    kept: dict[Protection, tuple[str, ...]] = {
        "sealed": tuple(f for f in personal if f in store.sealed),
        "plain index": tuple(f for f in personal if f in store.plain_index),
    }
    if persons and not personal:
        kept["pseudonym"] = ()
    for protection, fields in kept.items():
        if fields or protection == "pseudonym":
            yield Row(
                kind=store.kind,
                name=store.name,
                persons=persons,
                personal=fields,
                protection=protection,
                erasure=_ERASURE_OF_STORES[protection],
            )


_ERASURE_OF_STORES: dict[Protection, str] = {
    "sealed": "the subject's key is destroyed, the fold drops the rows",
    "plain index": "the fold drops the rows, and the store deletes them physically",
    "pseudonym": "the fold drops the rows",
}


def _unplaced_in_type(type_: EventType) -> Iterable[Unplaced]:
    topic = type_.topic
    if topic.archived or topic.retention_days is not None:
        return
    for field in type_.personal:
        yield Unplaced(
            type_.name,
            field,
            f"topic {topic.name} is neither archived nor has it a retention: give it one of them",
        )


def unplaced_in(store: Store) -> Iterable[Unplaced]:
    """The personal fields of a table of state or of a view that erasure would not reach."""
    personal = _personal(store)
    for field in personal:
        if (message := _fault(store, field)) is not None:
            yield Unplaced(store.name, field, message)
    for field in sorted((store.sealed | store.plain_index) - set(personal)):
        yield Unplaced(store.name, field, "is declared as sealed or indexed, but is not Personal")


def _fault(store: Store, field: str) -> str | None:
    """What is wrong with how a personal field is kept, if anything is."""
    sealed, indexed = field in store.sealed, field in store.plain_index
    if sealed and indexed:
        return "is declared as sealed and as a plain-text index: decide"
    if not (sealed or indexed):
        return "lies in the clear: seal it, or declare it as a plain-text index"
    if sealed and not any(_names(a, Subject) for a in store.fields.values()):
        return "is sealed, but no field of its row is the Subject under whose key"
    if not _persons(store):
        return "no field of its row is a Subject or Mention by which erasure could find it"
    return None


def _persons(store: Store) -> tuple[str, ...]:
    return tuple(f for f, a in store.fields.items() if _names(a, Subject) or _names(a, Mention))


def _personal(store: Store) -> tuple[str, ...]:
    return tuple(f for f, annotation in store.fields.items() if has_personal_parts(annotation))


def _names(annotation: object, marker: object) -> bool:
    return any(mentions_type(part, marker) for part in walk_into_structs(annotation))
