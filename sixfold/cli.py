"""The command line: `sixfold COMMAND`."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from rich.text import Text

from batch.errors import BatchError
from connectors.errors import ConnectorError
from schemas.errors import SchemaError
from sixfold.commands.context import console, errors
from sixfold.errors import SixfoldError
from sixfold.lazy import LazyGroup, Place
from sixfold.settings import FILE
from streams.errors import StreamError


class _Commands(LazyGroup):
    PLACES: ClassVar = {
        name: Place(f"sixfold.commands.{module}", attribute, help)
        for name, module, attribute, help in (
            ("up", "run", "up", "Run the platform: log, agents and gateway in this process."),
            (
                *("gateway", "run", "gateway"),
                "Run another gateway on the same port, beside the host of the data directory.",
            ),
            (
                "demo",
                "run",
                "demo",
                "Run everything once on fresh data, and check it against itself.",
            ),
            (
                "topics",
                "topics",
                "topics",
                "Show every partition, and how far behind each agent is.",
            ),
            ("tail", "topics", "tail", "Print the newest events of a topic, as the log has them."),
            (
                "doctor",
                "doctor",
                "doctor",
                "Show where data and keys lie, and warn of what could be lost.",
            ),
            (
                *("restored", "restored", "restored"),
                "Say that log.db was restored from a backup: once, before anything is started.",
            ),
            (
                "sql",
                "sql",
                "sql",
                "Query topics as tables; what is not archived yet is part of them.",
            ),
            (
                *("upgrade", "upgrade", "upgrade"),
                "Move the files of an earlier version on; stop every process and make a backup first.",
            ),
            ("batch", "batch", "app", "Run jobs over history."),
            ("dead", "dead", "app", "Records that a fold could not apply."),
            (
                *("engines", "engines", "app"),
                "Kafka and Cassandra on this machine: to try them, not for production.",
            ),
            ("import", "importing", "app", "Import files."),
            ("schemas", "schemas", "app", "The event types and what is published of them."),
            ("vault", "vault", "app", "The master key of the vault, and its versions."),
            ("views", "views", "app", "What readers are served."),
        )
    }


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
