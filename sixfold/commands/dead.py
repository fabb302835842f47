"""`sixfold dead`: records that a fold could not apply, and giving it one again."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from sixfold.commands.context import (
    Json,
    as_json_value,
    console,
    print_json,
    print_rows,
    settings_of,
)
from sixfold.platform import Platform
from sixfold.wiring import CATALOG
from streams.dead import DeadLetter, dead_letters, rejected_value, requeue
from streams.errors import BadPosition
from streams.log import Position

app = typer.Typer(no_args_is_help=True, help="Records that a fold could not apply.")

Letter = Annotated[str, typer.Argument(help="The letter's position, dead/0/…")]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List dead letters; they are kept for 30 days."""
    with Platform.open(settings_of(context)) as platform:
        rows = list(_rows(platform))
    print_rows(rows, ("letter", "fold", "record", "reason", "rejected", "requeued"), as_json)


@app.command()
def show(context: typer.Context, letter: Letter, as_json: Json = False) -> None:
    """Print the record that a letter is about, as the log has it."""
    with Platform.open(settings_of(context)) as platform:
        found = _letter(platform, letter)
        value = rejected_value(platform.log, found)
    if as_json:
        print_json({"position": str(found.record), "event": as_json_value(value)})
    else:
        sys.stdout.buffer.write(value + b"\n")


@app.command("requeue")
def requeue_(context: typer.Context, letter: Letter) -> None:
    """Give the fold its record again, at the end of the topic; do it once what failed is mended."""
    with Platform.open(settings_of(context)) as platform:
        found = _letter(platform, letter)
        requeue(platform.log, platform.sealer, found, datetime.now(UTC)).result()
    console.print(f"fold {found.fold} is given {found.record} again")


def _rows(platform: Platform) -> Iterator[dict[str, Any]]:
    for letter in dead_letters(platform.log, CATALOG):
        yield {
            "letter": str(letter.at),
            "fold": letter.fold,
            "record": str(letter.record),
            "reason": letter.reason,
            "rejected": datetime.fromtimestamp(letter.time_ms / 1000, UTC).isoformat(),
            "requeued": "yes" if letter.is_requeued else "no",
        }


def _letter(platform: Platform, position: str) -> DeadLetter:
    try:
        at = Position.parse(position)
    except BadPosition as error:
        raise typer.BadParameter(str(error), param_hint="LETTER") from error
    for letter in dead_letters(platform.log, CATALOG):
        if letter.at == at:
            return letter
    raise typer.BadParameter(
        f"there is no dead letter at {position}: see `sixfold dead list`", param_hint="LETTER"
    )
