"""`sixfold vault`: the master key, under which everything in the vault is wrapped."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

from connectors.vault.master import MasterKeys
from connectors.vault.opening import master_keys
from connectors.vault.sqlite import VAULT_FILE, SqliteVault
from sixfold.commands.context import Json, console, print_rows, progress_bar, settings_of
from sixfold.errors import NoHost

app = typer.Typer(no_args_is_help=True, help="The master key of the vault, and its versions.")


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """Show the versions of the master key, and how many values are wrapped under each."""
    with _opened(context) as (vault, keys):
        rows = list(_rows(vault, keys))
    print_rows(rows, ("version", "values", "state"), as_json)
    if not as_json:
        console.print(f"The key is in {rows[-1]['location']}.")


@app.command()
def rotate(context: typer.Context) -> None:
    """Add a version to the master key; everything new is wrapped under it from now on.

    Processes that run notice it by themselves.
    """
    with _opened(context) as (_, keys):
        before = keys.describe().current
        version = keys.rotate()
        location = keys.describe().location
    console.print(f"Version {version} wraps from now on; version {before} still unwraps. Next:")
    console.print(f"  back up {location}, then `sixfold doctor --backed-up`")
    console.print("  `sixfold vault rewrap`")
    console.print(f"  `sixfold vault retire {before}`")


@app.command()
def rewrap(context: typer.Context) -> None:
    """Wrap everything under the newest version, while the platform runs.

    It may be interrupted at any time; called again, it goes on with what is left.
    """
    with _opened(context) as (vault, keys):
        current = keys.describe().current
        left = sum(n for version, n in vault.versions_in_use().items() if version != current)
        done = 0
        columns = MofNCompleteColumn(), TimeRemainingColumn()
        with progress_bar(*columns) as progress:
            bar = progress.add_task("rewrap", total=left)
            for values in vault.rewrap():
                done += values
                progress.update(bar, completed=done)
    console.print(f"{done:,} values were wrapped under version {current}")


@app.command()
def retire(
    context: typer.Context,
    version: Annotated[int, typer.Argument(help="A version that `status` calls unused.")],
) -> None:
    """Take a version out of the master key for good.

    Backups of the vault from before it was unused cannot be opened without it: keep a copy of the
    key as long as them.
    """
    with _opened(context) as (vault, keys):
        described = keys.describe()
        if version not in described.versions:
            known = ", ".join(map(str, described.versions))
            raise typer.BadParameter(f"{described.location} has no version {version}, but {known}")
        vault.retire(version)
    console.print(f"Version {version} is gone; backups of the vault that need it do not open.")


def _rows(vault: SqliteVault, keys: MasterKeys) -> Iterator[dict[str, Any]]:
    in_use = vault.versions_in_use()
    description = keys.describe()
    for version in description.versions:
        values = in_use.get(version, 0)
        yield {
            "version": version,
            "values": values,
            "state": _state(values, is_current=version == description.current),
            "location": description.location,
            "backed_up": description.backed_up,
        }


def _state(values: int, *, is_current: bool) -> str:
    if is_current:
        return "wraps"
    return "in use: rewrap" if values else "unused: retire"


@contextmanager
def _opened(context: typer.Context) -> Iterator[tuple[SqliteVault, MasterKeys]]:
    """The vault of the data directory, and its master key."""
    settings = settings_of(context)
    directory = settings.data / "vault"
    if not (directory / VAULT_FILE).exists():
        raise NoHost(f"there is no vault in {directory}: start the platform with `sixfold up`")
    keys = master_keys(directory, settings.master_key, os.environ)
    with closing(SqliteVault.open(directory, keys)) as vault:
        yield vault, keys
