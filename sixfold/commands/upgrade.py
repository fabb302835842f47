"""`sixfold upgrade`: files that an earlier version has written are moved on to the newest format."""

import typer

from connectors import database
from connectors.lock import HostLock
from connectors.vault import suppression, tables
from connectors.vault.sqlite import SUPPRESSION_FILE, VAULT_FILE
from sixfold.commands.context import console, settings_of
from sixfold.errors import NoHost


def upgrade(context: typer.Context) -> None:
    """Move the files of an earlier version on; stop every process and make a backup first.

    What is done is done: if it stops in the middle, run it again.
    """
    settings = settings_of(context)
    if not settings.log_file.exists():
        raise NoHost(f"there is no data in {settings.data}")
    files = {
        settings.log_file: database.FORMAT,
        settings.data / "vault" / VAULT_FILE: tables.FORMAT,
        settings.data / "vault" / SUPPRESSION_FILE: suppression.FORMAT,
    }
    with HostLock(settings.data):
        for path, format in files.items():
            if path.exists():
                for done in format.upgrade(path):
                    console.print(done)
    console.print("all files have the newest format")
