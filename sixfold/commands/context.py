"""What commands share: the settings they were called with, and how they print."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Table

from sixfold.settings import Settings, load

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document per line.")]

# What is printed has data of strangers in it (keys, URLs, paths, messages): `[red]` and `:smile:` are
# text like any other.
console = Console(markup=False, emoji=False, soft_wrap=True)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def settings_of(context: typer.Context) -> Settings:
    """The settings of this call.

    Raises:
        BadSettings: one of them is wrong.
    """
    return load(context.obj)


def progress_bar(*columns: ProgressColumn, hidden: bool = False) -> Progress:
    """A bar that says what is being done, and how far it is by these columns."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON object on a line of its own."""
    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")


def as_json_value(value: bytes) -> msgspec.Raw | str:
    """A record's value within JSON: as it is; as a text if it is no JSON itself."""
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value.decode(errors="replace")
    return msgspec.Raw(value)


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as a table, or as one JSON object per line."""
    if as_json:
        for row in rows:
            print_json(row)
        sys.stdout.flush()
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    console.print(table)
