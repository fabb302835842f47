"""The command line: `sixfold COMMAND`."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from batch.errors import BatchError
from connectors.errors import ConnectorError
from schemas.errors import SchemaError
from sixfold.commands import (
    batch,
    dead,
    doctor,
    engines,
    importing,
    restored,
    run,
    schemas,
    sql,
    topics,
    upgrade,
    vault,
    views,
)
from sixfold.commands.context import console, errors
from sixfold.errors import SixfoldError
from sixfold.settings import FILE
from streams.errors import StreamError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Six back ends as six folds over one append-only log.",
)
app.command("up")(run.up)
app.command("gateway")(run.gateway)
app.command("demo")(run.demo)
app.command("topics")(topics.topics)
app.command("tail")(topics.tail)
app.command("doctor")(doctor.doctor)
app.command("restored")(restored.restored)
app.command("sql")(sql.sql)
app.command("upgrade")(upgrade.upgrade)
app.add_typer(batch.app, name="batch")
app.add_typer(dead.app, name="dead")
app.add_typer(engines.app, name="engines")
app.add_typer(importing.app, name="import")
app.add_typer(schemas.app, name="schemas")
app.add_typer(vault.app, name="vault")
app.add_typer(views.app, name="views")


def _version(asked: bool) -> None:
    if asked:
        console.print(version("sixfold"))
        raise typer.Exit


@app.callback()
def settings(
    context: typer.Context,
    config: Annotated[Path, typer.Option(help="The settings file.")] = FILE,
    version_: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Show the version."),
    ] = False,
) -> None:
    """Six back ends as six folds over one append-only log."""
    if config != FILE and not config.exists():  # the defaults would be another platform
        raise typer.BadParameter(f"there is no file {config}", param_hint="--config")
    context.obj = config


def main() -> None:
    """Run a command; 1 if it failed, 2 if it was called wrongly."""
    try:
        app()
    except (SixfoldError, ConnectorError, StreamError, SchemaError, BatchError) as error:
        errors.print(Text.assemble(("sixfold:", "bold red"), f" {error}"))
        sys.exit(1)
