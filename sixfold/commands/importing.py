"""`sixfold import`: real files become links and clicks."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.progress import DownloadColumn, TimeElapsedColumn

from connectors.sources.import_log import Imported, Target
from schemas.patterns import Tenant, in_words
from sixfold.commands.context import Json, console, progress_bar, settings_of
from sixfold.errors import SixfoldError
from sixfold.importing import STANDARD_INPUT, import_access_log
from sixfold.logging import configure
from streams.errors import RuleBroken
from streams.links.urls import normal_url

app = typer.Typer(no_args_is_help=True, help="Import files.")

_SHOWN_REASONS = 5


@app.callback()
def formats() -> None:
    """Import files."""


@app.command("apache-log")
def apache_log(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Plain or gzip; - for standard input.")],
    base_url: Annotated[
        str, typer.Option(help="What the log's paths are appended to to make long URLs.")
    ],
    tenant: Annotated[str, typer.Option(help="Whose links; the default tenant if empty.")] = "",
    as_json: Json = False,
) -> None:
    """Import an access log (Apache's common or combined format, which nginx writes too).

    Each distinct path becomes a link, each request a click at its time. Importing a log again adds
    nothing, and importing one that has grown adds what came since.
    """
    configure()
    settings = settings_of(context)
    target = Target(_tenant(tenant) or settings.tenant, _checked(base_url))
    size = size_of(file)
    with progress_bar(DownloadColumn(), TimeElapsedColumn(), hidden=as_json) as progress:
        task = progress.add_task(file.name, total=None if file.suffix == ".gz" else size)
        imported = uvloop.run(
            import_access_log(
                settings, file, target, lambda size: progress.update(task, advance=size)
            )
        )
    if as_json:
        print(msgspec.json.encode(imported).decode())
    else:
        show(imported)
    if imported.malformed == imported.lines > 0:
        raise SixfoldError(
            f"no line of {file} is one of an access log in the common or combined format: "
            "is it the right file?"
        )


def _tenant(name: str) -> str:
    try:
        return msgspec.convert(name, Tenant) if name else ""
    except msgspec.ValidationError as error:
        raise typer.BadParameter(in_words(str(error)), param_hint="--tenant") from error


def _checked(base_url: str) -> str:
    try:
        return normal_url(base_url, "--base-url").rstrip("/")
    except RuleBroken as broken:
        raise typer.BadParameter(broken.reason, param_hint="--base-url") from broken


def size_of(file: Path) -> int | None:
    """The size of a file that can be read; None of what has none.

    Raises:
        SixfoldError: it cannot be read.
    """
    if file == STANDARD_INPUT:
        return None
    try:
        with file.open("rb"):
            return file.stat().st_size
    except OSError as error:
        raise SixfoldError(f"{file} cannot be read: {error.strerror}") from error


def show(imported: Imported) -> None:
    """Print what an import has done."""
    console.print(
        f"{imported.lines:,} lines read, {imported.skipped_lines:,} of them imported before; "
        f"{imported.clicks:,} clicks and {imported.links:,} links added; "
        f"{imported.malformed:,} malformed lines"
    )
    for malformed in imported.reasons[:_SHOWN_REASONS]:
        console.print(f"  line {malformed.line}: {malformed.reason}")
