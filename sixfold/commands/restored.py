"""`sixfold restored`: what has to be done once, after a backup of the log was put in its place."""

import typer

from connectors.lock import HostLock
from connectors.log.restoring import renew
from schemas.links import BLOCKS
from sixfold.commands.context import console, settings_of
from sixfold.platform import Platform

# More than can have been granted since any backup: a billion keys. A region has 200 times as many.
_SKIPPED_BLOCKS = 1 << 20


def restored(context: typer.Context) -> None:
    """Say that log.db was restored from a backup: once, before anything is started.

    From then on no key of a link is made that was made after the backup, and the archive takes the
    log for another one: what the lake has already stays, and is not added twice.
    """
    settings = settings_of(context)
    with Platform.open(settings) as platform, HostLock(settings.data):
        renew(platform.log, {BLOCKS.name: _SKIPPED_BLOCKS})
    console.print(f"{settings.log_file} goes on as another log", markup=False)
