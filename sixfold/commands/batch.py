"""`sixfold batch`: jobs over history."""

from collections.abc import Iterator
from functools import partial
from inspect import getdoc
from typing import Any

import typer
from rich.progress import MofNCompleteColumn

from batch.archive import Archived, archive
from batch.archive import Progress as Step
from batch.lake import Lake
from batch.runs import recorded
from schemas.envelope import PLATFORM_TENANT
from schemas.event import Data
from sixfold.commands.context import Json, print_rows, progress_bar, settings_of
from sixfold.platform import Platform
from sixfold.wiring import CATALOG

app = typer.Typer(no_args_is_help=True, help="Run jobs over history.")
run = typer.Typer(no_args_is_help=True, help="Run one job.")
app.add_typer(run, name="run")


@run.callback()
def one() -> None:
    """Run one job."""


@app.command("list")
def jobs(as_json: Json = False) -> None:
    """List the jobs that can be run."""
    rows = [
        {"job": command.name, "what": getdoc(command.callback)}
        for command in run.registered_commands
    ]
    print_rows(rows, ("job", "what"), as_json)


@run.command("archive")
def archive_command(context: typer.Context, as_json: Json = False) -> None:
    """Move what is new in the log into the lake; running it again adds only what came since."""
    settings = settings_of(context)
    with (
        Platform.open(settings) as platform,
        progress_bar(MofNCompleteColumn(), hidden=as_json) as progress,
    ):
        bar = progress.add_task("archive", total=None)

        def show(step: Step) -> None:
            progress.update(bar, description=step.topic, completed=step.done, total=step.total)

        with recorded("archive", partial(_record, platform)) as counts:
            archived = archive(Lake(settings.lake, CATALOG), platform.log, show)
            counts |= {topic: tally.rows for topic, tally in archived.topics.items() if tally.rows}
    print_rows(rows_of(archived), ("topic", "rows", "duplicates", "malformed", "unknown"), as_json)


def rows_of(archived: Archived) -> Iterator[dict[str, Any]]:
    """What an archive has done, by topic."""
    for topic, tally in archived.topics.items():
        yield {
            "topic": topic,
            "rows": tally.rows,
            "duplicates": tally.duplicates,
            "malformed": tally.malformed,
            "unknown": tally.unknown,
        }


def _record(platform: Platform, ran: Data) -> None:
    platform.append(PLATFORM_TENANT, "sixfold/batch", ran).result()
