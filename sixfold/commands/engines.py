"""`sixfold engines`: Kafka and Cassandra on this machine, for whoever has no cluster to try."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from connectors.engines.cassandra import Cassandra
from connectors.engines.engine import Engine
from connectors.engines.kafka import Kafka
from sixfold.commands.context import Json, console, print_rows, settings_of

app = typer.Typer(help="Kafka and Cassandra on this machine: to try them, not for production.")


class Name(StrEnum):
    """An engine, as the command line calls it."""

    KAFKA = Kafka.NAME
    CASSANDRA = Cassandra.NAME


_KINDS: dict[Name, type[Engine]] = {Name.KAFKA: Kafka, Name.CASSANDRA: Cassandra}
_SETTINGS = {Kafka.NAME: "SIXFOLD_LOG", Cassandra.NAME: "SIXFOLD_STORE"}

_Names = Annotated[list[Name] | None, typer.Argument(help="Both, unless named.")]


@app.command()
def up(context: typer.Context, names: _Names = None) -> None:
    """Fetch the engines if need be, start them, and print what to set to use them."""
    for engine in _engines(context, names):
        with console.status(f"Starting {engine.JARS.name}"):
            engine.start()
        print(f"{_SETTINGS[engine.NAME]}={engine.url}")


@app.command()
def down(context: typer.Context, names: _Names = None) -> None:
    """Stop the engines; their data stays."""
    for engine in _engines(context, names):
        if engine.running:
            engine.stop()
            console.print(f"{engine.JARS.name} is down; its data is in {engine.directory}")


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """Show whether they run, and where."""
    print_rows(_rows(_engines(context)), ("engine", "state", "pid", "url", "directory"), as_json)


def _engines(context: typer.Context, names: Iterable[Name] | None = None) -> list[Engine]:
    settings = settings_of(context)
    return [
        _KINDS[name](settings.data / "engines" / name, settings.engines.folder)
        for name in names or _KINDS
    ]


def _rows(engines: Iterable[Engine]) -> Iterable[dict[str, Any]]:
    for engine in engines:
        pid = engine.pid
        yield {
            "engine": engine.JARS.name,
            "state": "down" if pid is None else "up",
            "pid": pid or "",
            "url": "" if pid is None else engine.url,
            "directory": str(engine.directory),
        }
