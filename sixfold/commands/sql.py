"""`sixfold sql`: SELECT over everything that ever happened, archived or not."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pyarrow import RecordBatchReader

from batch.describing import columns, tables
from batch.engine import Engine
from batch.lake import Lake
from batch.output import WRITERS, Writer, print_table
from batch.queries import queries, query
from sixfold.commands.context import console, print_rows, settings_of
from sixfold.errors import SixfoldError
from sixfold.platform import Platform
from sixfold.wiring import CATALOG


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def sql(  # noqa: PLR0913, PLR0917 - options, of which each stands for itself
    context: typer.Context,
    select: Annotated[
        str,
        typer.Argument(help="A SELECT, the name of a query (see --list), or of what to describe."),
    ] = "",
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the queries that come along.")
    ] = False,
    describe: Annotated[
        bool,
        typer.Option("--describe", help="List tables and views, or the columns of the one given."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
) -> None:
    """Query topics as tables; what is not archived yet is part of them."""
    format = Format.JSON if as_json else format
    if describe:
        _describe(Lake(settings_of(context).lake, CATALOG), select, format)
        return
    if list_ or not select:
        rows = [{"query": q.name, "what": q.description} for q in queries()]
        print_rows(rows, ("query", "what"), format is Format.JSON)
        return
    text = select if any(c.isspace() for c in select) else query(select).sql
    settings = settings_of(context)
    with (
        Platform.open(settings) as platform,
        Engine(Lake(settings.lake, CATALOG), platform.log) as engine,
    ):
        _write(engine, text, format, output)


def _describe(lake: Lake, table: str, format: Format) -> None:
    found = columns(lake, table) if table else tables(lake)
    rows = [described._asdict() for described in found]
    print_rows(rows, tuple(rows[0]), format is Format.JSON)


def _write(engine: Engine, text: str, format: Format, output: Path | None) -> None:
    result = engine.sql(text)
    if format is Format.TABLE:
        if output is not None:
            raise SixfoldError("a table goes to the terminal: choose --format csv, json or parquet")
        print_table(result, console)
    elif output is not None:
        _write_file(result, output, WRITERS[format.value])
    elif format is Format.PARQUET and sys.stdout.isatty():
        raise SixfoldError("Parquet is not for a terminal: give --output FILE")
    else:
        WRITERS[format.value](result, sys.stdout.buffer)


def _write_file(result: RecordBatchReader, path: Path, write: Writer) -> None:
    try:
        with path.open("wb") as file:
            write(result, file)
    except OSError as error:
        raise SixfoldError(f"{path} cannot be written: {error.strerror}") from error
