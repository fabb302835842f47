"""What tables and views there are for SQL, and what their columns are: from the catalog's docstrings."""

import re
from collections.abc import Iterable, Iterator
from inspect import getdoc
from typing import NamedTuple

import duckdb
from msgspec.structs import fields

from batch.columns import rows_sql
from batch.engine import EVENTS, events_sql
from batch.errors import UnknownTable
from batch.lake import Lake
from batch.queries import views
from batch.rows import NO_RECORDS
from schemas.catalog import Catalog
from schemas.envelope import Envelope
from schemas.event import EventType

# What the envelope does not say itself.
_OF_RECORDS = {
    "topic": "the record's topic",
    "partition": "the record's partition",
    "offset": "the record's offset within its partition",
    "time_ms": "`time` in milliseconds since 1970",
    "appended_ms": "when the record was appended, in milliseconds since 1970",
    "date": "the day of `time`, in UTC",
    "type": "the type of the event",
}


class Described(NamedTuple):
    """A table or view."""

    name: str
    what: str


class Column(NamedTuple):
    """A column; its type is DuckDB's."""

    name: str
    type: str
    what: str


def tables(lake: Lake) -> list[Described]:
    """All tables, then the views."""
    return [
        *(Described(topic, _what(lake.catalog, topic)) for topic in lake.topics),
        Described(EVENTS, "What the events of all topics have in common."),
        *(Described(view.name, view.description) for view in views()),
    ]


def columns(lake: Lake, table: str) -> list[Column]:
    """The columns of a table or view.

    Raises:
        UnknownTable: there is none of that name.
        ColumnConflict: a topic's event types cannot be one table.
    """
    names = [described.name for described in tables(lake)]
    if table not in names:
        raise UnknownTable(f"no table {table!r}; there are: {', '.join(names)}")
    texts = _texts(
        lake.catalog.types_of(table) if table in lake.topics else lake.catalog.types.values()
    )
    with duckdb.connect() as connection:
        _make_empty(connection, lake)
        found = connection.execute(f'DESCRIBE "{table}"').fetchall()
    return [Column(name, type_, texts[name]) for name, type_, *_ in found]


def _make_empty(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Every table and view, without rows."""
    connection.register("records", NO_RECORDS)
    for topic in lake.topics:
        connection.execute(f'CREATE TABLE "{topic}" AS {rows_sql(lake.catalog, topic)}')
    connection.execute(f'CREATE VIEW "{EVENTS}" AS {events_sql(lake.topics)}')
    for view in views():
        connection.execute(f'CREATE VIEW "{view.name}" AS {view.sql}')


def _what(catalog: Catalog, topic: str) -> str:
    return "\n".join(
        f"{type_.name}: {_first_line(type_.data)}" for type_ in catalog.types_of(topic)
    )


def _first_line(documented: type) -> str:
    return (getdoc(documented) or "").partition("\n")[0]


def _texts(types: Iterable[EventType]) -> dict[str, str]:
    """What each column is, by its name."""
    of: dict[str, list[str]] = {}
    for type_ in types:
        for field in fields(type_.data):
            of.setdefault(field.name, []).append(type_.name)
    told = {name: f"of {', '.join(types)}" for name, types in of.items()}
    return told | _OF_RECORDS | dict(_attributes(getdoc(Envelope) or ""))


def _attributes(doc: str) -> Iterator[tuple[str, str]]:
    """The attributes that a docstring tells of, each with its text in one line."""
    section = doc.partition("Attributes:\n")[2]
    for name, text in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE):
        yield name, " ".join(text.split()).rstrip(".")
