"""Results of queries, written as they come: CSV, JSON lines, Parquet; or the beginning as a table.

A column of lists, maps or structs is JSON text in CSV.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import MappingProxyType
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.errors import OutputError

# A terminal's reader wants no more, and a table is laid out as a whole.
MAX_TABLE_ROWS = 1_000

# In less than this, borders among it, a column shows nothing: each row then gets its own lines.
MIN_COLUMN_WIDTH = 8

Writer = Callable[[pa.RecordBatchReader, BinaryIO], None]

_encoder = msgspec.json.Encoder(decimal_format="number")
_encode, _encode_lines = _encoder.encode, _encoder.encode_lines


def write_csv(result: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write CSV with a header line; NULL is empty, an empty string is `""`.

    Raises:
        OutputError: a column has a type that CSV cannot show.
    """
    nested = [i for i, field in enumerate(result.schema) if pa.types.is_nested(field.type)]
    schema = result.schema
    for i in nested:
        schema = schema.set(i, pa.field(schema.names[i], pa.string()))
    options = pa.csv.WriteOptions(quoting_style="needed")
    with _refusing(), pa.csv.CSVWriter(out, schema, write_options=options) as writer:
        for batch in result:
            columns = batch.columns
            for i in nested:
                columns[i] = pa.array(_json_texts(columns[i]), pa.string())
            writer.write_batch(pa.record_batch(columns, schema))


def write_json(result: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write an object per line, as all commands do; no row is no line.

    Raises:
        OutputError: two columns have one name, or a value has no JSON.
    """
    _refuse_namesakes(result.schema)
    with _refusing():
        for batch in result:
            out.write(_encode_lines(batch.to_pylist(maps_as_pydicts="strict")))


def write_parquet(result: pa.RecordBatchReader, out: BinaryIO) -> None:
    """Write a Parquet file.

    Raises:
        OutputError: two columns have one name, or Parquet does not have a column's type.
    """
    _refuse_namesakes(result.schema)
    with _refusing(), pa.parquet.ParquetWriter(out, result.schema, compression="zstd") as writer:
        for batch in result:
            writer.write_batch(batch)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {"csv": write_csv, "json": write_json, "parquet": write_parquet}
)


def print_table(result: pa.RecordBatchReader, console: Console) -> None:
    """Print the first rows as a table, and whether there are more.

    More columns than the terminal has room for are printed one below the other.

    Raises:
        OutputError: a value cannot be shown.
    """
    rows = _rows(result)
    with _refusing():
        cells = [[_cell(value) for value in row] for row in islice(rows, MAX_TABLE_ROWS)]
        has_more = next(rows, None) is not None
    if console.width < len(result.schema) * MIN_COLUMN_WIDTH:
        _print_records(result.schema, cells, console)
    else:
        console.print(_table(result.schema, cells))
    if has_more:
        console.print(f"the first {MAX_TABLE_ROWS:,} rows; CSV, JSON and Parquet have all")


def _table(schema: pa.Schema, rows: list[list[Text]]) -> Table:
    table = Table()
    for field in schema:
        table.add_column(_printable(field.name), justify=_justify(field.type))
    for row in rows:
        table.add_row(*row)
    return table


def _print_records(schema: pa.Schema, rows: list[list[Text]], console: Console) -> None:
    for number, row in enumerate(rows, 1):
        table = Table("column", f"row {number:,}")
        for field, cell in zip(schema, row, strict=True):
            table.add_row(_printable(field.name), cell)
        console.print(table)
    if not rows:
        console.print(f"no rows of {len(schema)} columns")


def _rows(result: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
    for batch in result:
        columns = [column.to_pylist(maps_as_pydicts="strict") for column in batch.columns]
        yield from zip(*columns, strict=True)


def _json_texts(column: pa.Array) -> list[str | None]:
    return [
        None if value is None else _encode(value).decode()
        for value in column.to_pylist(maps_as_pydicts="strict")
    ]


def _justify(type_: pa.DataType) -> Any:
    is_number = pa.types.is_integer(type_) or pa.types.is_floating(type_)
    return "right" if is_number or pa.types.is_decimal(type_) else "left"


def _cell(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return _printable(value if isinstance(value, str) else _encode(value).decode().strip('"'))


def _printable(text: str) -> Text:
    """Text whose control characters cannot play with the terminal; it is data of strangers."""
    return Text(
        "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    )


def _refuse_namesakes(schema: pa.Schema) -> None:
    twice = {name for name in schema.names if schema.names.count(name) > 1}
    if twice:
        raise OutputError(f"two columns are called {min(twice)}: rename one with AS")


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, ValueError, OverflowError) as error:
        raise OutputError(f"{error}: try CAST(… AS VARCHAR)") from error
