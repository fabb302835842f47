"""`sixfold views`: building what readers see anew from the log."""

import asyncio

import typer
import uvloop

from connectors.store.sqlite import rebuilt_up_to
from schemas.control import RebuildRequested
from schemas.envelope import PLATFORM_TENANT
from sixfold.commands.context import console, settings_of
from sixfold.importing import hosted
from sixfold.logging import configure
from sixfold.platform import Platform
from sixfold.settings import Settings
from sixfold.wiring import FOLDS
from streams.fold import Fold
from streams.rebuild import refuse_if_incomplete
from streams.views import shape_of

app = typer.Typer(no_args_is_help=True, help="What readers are served.")


@app.callback()
def views() -> None:
    """What readers are served."""


@app.command()
def rebuild(context: typer.Context, name: str) -> None:
    """Build the state and views of a fold anew, beside those that are served, then switch.

    NAME is a view, in snake case, or a fold.
    """
    configure()
    fold = _fold(name)
    uvloop.run(_rebuild(settings_of(context), fold))
    console.print(f"fold {fold.name} is rebuilt: {', '.join(_names(fold))}")


async def _rebuild(settings: Settings, fold: Fold) -> None:
    async with hosted(settings) as platform:
        refuse_if_incomplete(fold, platform.log)
        request = RebuildRequested(fold.name)
        (position,) = await asyncio.wrap_future(
            platform.append(PLATFORM_TENANT, "sixfold/views", request)
        )
        with console.status(f"rebuilding {fold.name}"):
            await _switched(platform, fold, position.offset)


async def _switched(platform: Platform, fold: Fold, request: int) -> None:
    """Wait until readers see what was built for a request."""
    while rebuilt_up_to(platform.log, fold.name) <= request:
        await platform.log.changed(platform.log.version(), timeout_s=0.5)


def _fold(name: str) -> Fold:
    for fold in FOLDS:
        if name == fold.name or name in _names(fold):
            return fold
    known = sorted({fold.name for fold in FOLDS} | {n for fold in FOLDS for n in _names(fold)})
    raise typer.BadParameter(f"there is no view or fold {name!r}; there are: {', '.join(known)}")


def _names(fold: Fold) -> list[str]:
    return [shape_of(view).name for view in fold.views]
