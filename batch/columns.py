"""The columns of a topic's table, and the SQL that makes them of the log's records.

First where the record is and what the envelope says, the same in every table; then the fields of
the `data` of all of the topic's event types. Types are DuckDB's:

| field                                | column                                             |
|--------------------------------------|----------------------------------------------------|
| `str`, enums and literals of strings | VARCHAR; so are bytes, UUIDs, decimals, durations  |
| `int`, enums and literals of numbers | BIGINT; NULL if it does not fit                    |
| `float`, `bool`                      | DOUBLE, BOOLEAN                                    |
| `datetime`, `date`                   | TIMESTAMPTZ in UTC, to the microsecond; DATE       |
| `list[T]`, `set[T]`, `tuple[T, ...]` | T[]                                                |
| `dict[str, T]`                       | MAP(VARCHAR, T)                                    |
| a struct                             | STRUCT(…)                                          |
| anything else, such as a union       | VARCHAR that holds its JSON                        |

`Personal` fields have no column: they are in `sealed`.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect as mi

from batch.duck import quoted
from batch.errors import ColumnConflict
from schemas.catalog import Catalog
from schemas.event import EventType

_JSON = "JSON"

_SCALARS: dict[type[mi.Type], str] = {
    mi.BoolType: "BOOLEAN",
    mi.IntType: "BIGINT",
    mi.FloatType: "DOUBLE",
    mi.DateTimeType: "TIMESTAMPTZ",
    mi.DateType: "DATE",
    mi.StrType: "VARCHAR",
    mi.BytesType: "VARCHAR",
    mi.UUIDType: "VARCHAR",
    mi.DecimalType: "VARCHAR",
    mi.TimeType: "VARCHAR",
    mi.TimeDeltaType: "VARCHAR",
}

# What the envelope's JSON holds, with its types.
_ENVELOPE = {
    "time": "TIMESTAMPTZ",
    "type": "VARCHAR",
    "id": "VARCHAR",
    "source": "VARCHAR",
    "tenant": "VARCHAR",
    "subject": "VARCHAR",
    "cause": "VARCHAR",
    "ordinal": "BIGINT",
    "traceparent": "VARCHAR",
    "sealed": "VARCHAR",
}

# The columns of every table, with their SQL over a record and its JSON, parsed as `event`.
_COMMON = {
    "partition": "partition",
    "offset": '"offset"',
    "time_ms": 'epoch_ms(event."time")',
    "appended_ms": "appended_ms",
    "date": 'CAST(event."time" AS DATE)',
} | {name: f'event."{name}"' for name in _ENVELOPE}
_COMMON["ordinal"] = "coalesce(event.ordinal, 0)"

COMMON_COLUMNS = tuple(_COMMON)

# Where compaction keeps a row: its month, or `recent` before that, and its subject's bucket.
PLACE_COLUMNS = ("month", "bucket")


class _Field(NamedTuple):
    """A field of the data of one event type."""

    event_type: str
    name: str
    sql_type: str
    default: str | None  # as JSON; what is absent in a record has this value


def rows_sql(catalog: Catalog, topic: str) -> str:
    """The query that makes rows of records.

    The records are a relation `records` with partition, offset, appended_ms and value (a BLOB). A
    record that is no JSON has NULL in `time`.

    Raises:
        ColumnConflict: a field has no place in the table.
    """
    types = catalog.types_of(topic)
    fields = [field for type_ in types for field in _fields_of(type_)]
    data = {field.name: field.sql_type for field in fields}
    columns = _COMMON | {name: _value_sql(name, fields) for name in data}
    shape = json.dumps(_ENVELOPE | ({"data": data} if data else {}))
    # TRY, because one record that is no UTF-8 or no JSON must not stop all the others.
    parsed = f"TRY(json_transform(decode(value), {quoted(shape)}))"
    selected = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    return f"SELECT {selected} FROM (SELECT *, {parsed} AS event FROM records)"  # noqa: S608


def _fields_of(type_: EventType) -> Iterator[_Field]:
    described = mi.type_info(type_.data)
    assert isinstance(described, mi.StructType)
    for field in described.fields:
        if field.name in type_.personal or field.name == type_.subject == "subject":
            continue
        _check(f"{type_.name}.{field.name}", field)
        default = _default_of(field)
        yield _Field(
            type_.name,
            field.name,
            _sql_type(field.type),
            None if default is None else msgspec.json.encode(default).decode(),
        )


def _check(name: str, field: mi.Field) -> None:
    """Refuse what a column could not tell apart, rather than show something wrong."""
    if field.name in COMMON_COLUMNS or field.name in PLACE_COLUMNS:
        raise ColumnConflict(
            f"{name}: every table of the lake has a column of that name; name the field differently"
        )
    if _allows_none(field.type) and _default_of(field) is not None:
        raise ColumnConflict(
            f"{name} may be None and has another default: the lake cannot tell them apart, "
            "so choose one"
        )


def _value_sql(name: str, fields: list[_Field]) -> str:
    """The value of a field, with each event type's default where a record has none."""
    mine = [field for field in fields if field.name == name]
    value = f'event.data."{name}"'
    branches = "".join(
        f" WHEN {quoted(field.event_type)} THEN coalesce({value}, {_literal(field)})"
        for field in mine
        if field.default is not None
    )
    if branches:
        value = f'CASE event."type"{branches} ELSE {value} END'
    return f"CAST({value} AS VARCHAR)" if mine[0].sql_type == _JSON else value


def _literal(field: _Field) -> str:
    value = f'{{"default":{field.default}}}'
    shape = json.dumps({"default": field.sql_type})
    return f'json_transform({quoted(value)}, {quoted(shape)})."default"'


def _default_of(field: mi.Field) -> Any:
    """A field's default; None if it has none, or None."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _allows_none(type_: mi.Type) -> bool:
    return isinstance(type_, mi.UnionType) and type_.includes_none


def _without_none(union: mi.UnionType) -> list[mi.Type]:
    return [part for part in union.types if not isinstance(part, mi.NoneType)]


def _sql_type(type_: mi.Type, within: tuple[type, ...] = ()) -> str:
    """The SQL type of a field; `within` are the structs around it, which it may not repeat."""
    sql_type = _SCALARS.get(type(type_), _JSON)
    match type_:
        case mi.Metadata():
            sql_type = _sql_type(type_.type, within)
        case mi.UnionType() if len(some := _without_none(type_)) == 1:
            sql_type = _sql_type(some[0], within)
        case mi.EnumType():
            sql_type = _type_of_values([member.value for member in type_.cls])
        case mi.LiteralType():
            sql_type = _type_of_values(list(type_.values))
        case mi.ListType() | mi.SetType() | mi.FrozenSetType() | mi.VarTupleType():
            sql_type = _sql_type(type_.item_type, within) + "[]"
        case mi.DictType():
            sql_type = f"MAP(VARCHAR, {_sql_type(type_.value_type, within)})"
        case mi.StructType() if _is_object(type_) and type_.cls not in within:
            sql_type = _struct_type(type_, (*within, type_.cls))
    return sql_type


def _struct_type(struct: mi.StructType, within: tuple[type, ...]) -> str:
    defaults = [field.name for field in struct.fields if _default_of(field) is not None]
    if struct.cls.__struct_config__.omit_defaults and defaults:
        raise ColumnConflict(
            f"{struct.cls.__name__} leaves out fields that have their default, which the lake "
            f"would not know: leave omit_defaults out, or give {defaults[0]!r} no default"
        )
    fields = (f'"{field.encode_name}" {_sql_type(field.type, within)}' for field in struct.fields)
    return f"STRUCT({', '.join(fields)})"


def _is_object(struct: mi.StructType) -> bool:
    """Whether a struct is written as an object of its fields and nothing else."""
    return bool(struct.fields) and not struct.array_like and struct.tag is None


def _type_of_values(values: list[Any]) -> str:
    return "BIGINT" if all(isinstance(value, int) for value in values) else "VARCHAR"
