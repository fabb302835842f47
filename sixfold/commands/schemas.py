"""`sixfold schemas`: publish the catalog, refuse what breaks it, and say where data lives."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

import schemas
from schemas import compatibility
from schemas.datamap import DataMap
from schemas.export import export as export_catalog
from sixfold.commands.context import Json, print_rows
from sixfold.wiring import CATALOG, FOLDS

PUBLISHED = Path(schemas.__file__).parent / "published"

# What fits on a screen; the rest is in the JSON.
_COLUMNS = ("kind", "name", "persons", "personal", "protection", "erasure")

app = typer.Typer(no_args_is_help=True, help="The event types and what is published of them.")


@app.command()
def export(
    to: Annotated[Path, typer.Option(help="The directory to write to.")] = PUBLISHED,
) -> None:
    """Write JSON Schemas and the AsyncAPI document, unless they would break published ones."""
    for path in export_catalog(CATALOG, to):
        typer.echo(path)


@app.command()
def check(
    against: Annotated[Path, typer.Option(help="The directory of published ones.")] = PUBLISHED,
) -> None:
    """Compare the catalog with what is published, and look for personal data without a place."""
    problems = [*compatibility.check(CATALOG, against), *_data_map().unplaced()]
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{len(CATALOG.types)} event types are as published")


@app.command()
def datamap(as_json: Json = False) -> None:
    """Show where data of subjects lives, and how it leaves."""
    rows = map(msgspec.structs.asdict, _data_map().rows)
    print_rows(rows if as_json else map(_in_words, rows), _COLUMNS, as_json)


def _data_map() -> DataMap:
    return DataMap(CATALOG, (store for fold in FOLDS for store in fold.stores))


def _in_words(row: dict[str, Any]) -> dict[str, str]:
    return {column: _words(value) for column, value in row.items()}


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)
