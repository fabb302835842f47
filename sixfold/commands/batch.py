"""`sixfold batch`: jobs over history."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import getdoc
from typing import Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

from batch.archive import Archived, archive
from batch.compaction import compact
from batch.lake import Lake
from batch.progress import OnProgress, Progress
from batch.retention import retain
from batch.runs import Counts, recorded
from batch.vacuum import KEEP, vacuum
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
    with _job(context, "archive", as_json) as job:
        archived = archive(job.lake, job.platform.log, job.show)
        job.counts.update(_some({name: tally.rows for name, tally in archived.topics.items()}))
    print_rows(rows_of(archived), ("topic", "rows", "duplicates", "malformed", "unknown"), as_json)


@run.command("compact")
def compact_command(context: typer.Context, as_json: Json = False) -> None:
    """Move what was archived into months and buckets of its subjects, and merge small files."""
    with _job(context, "compact", as_json) as job:
        rows = compact(job.lake, job.show)
        job.counts.update(_some(rows))
    _print_counts(rows, "rows", as_json)


@run.command("retain")
def retain_command(context: typer.Context, as_json: Json = False) -> None:
    """Drop from the lake what is older than its topic keeps it."""
    with _job(context, "retain", as_json) as job:
        dropped = retain(job.lake, datetime.now(UTC), job.show)
        job.counts.update(_some(dropped))
    _print_counts(dropped, "dropped", as_json)


@run.command("vacuum")
def vacuum_command(
    context: typer.Context,
    keep_hours: Annotated[
        int, typer.Option(min=1, help="Keep what was replaced since; no query may run longer.")
    ] = KEEP // timedelta(hours=1),
    as_json: Json = False,
) -> None:
    """Remove files of the lake that nobody reads any more, and those of jobs that were cut short."""
    with _job(context, "vacuum", as_json) as job:
        removed = vacuum(job.lake, timedelta(hours=keep_hours), job.show)
        job.counts.update(_some(removed))
    _print_counts(removed, "files", as_json)


@dataclass(frozen=True, slots=True)
class _Job:
    """What a job works with; `counts` is for the record of its run."""

    platform: Platform
    lake: Lake
    counts: Counts
    show: OnProgress


@contextmanager
def _job(context: typer.Context, name: str, as_json: bool) -> Iterator[_Job]:
    """Run a job within, with a progress bar and a record of the run."""
    settings = settings_of(context)
    with (
        Platform.open(settings) as platform,
        progress_bar(MofNCompleteColumn(), TimeRemainingColumn(), hidden=as_json) as progress,
    ):
        bar = progress.add_task(name, total=None)

        def show(step: Progress) -> None:
            progress.update(bar, description=step.topic, completed=step.done, total=step.total)

        with recorded(name, partial(_record, platform)) as counts:
            yield _Job(platform, Lake(settings.lake, CATALOG), counts, show)


def _some(counts: Counts) -> Counts:
    """Without those of topics that had nothing to do."""
    return {topic: count for topic, count in counts.items() if count}


def _print_counts(counts: Mapping[str, int], what: str, as_json: bool) -> None:
    rows = ({"topic": topic, what: count} for topic, count in counts.items())
    print_rows(rows, ("topic", what), as_json)


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
