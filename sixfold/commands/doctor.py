"""`sixfold doctor`: where everything lies, and what needs care."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.vault.keyfile import KeyFile
from connectors.vault.opening import master_keys
from sixfold.commands.context import Json, console, print_rows, settings_of
from sixfold.errors import SixfoldError
from sixfold.first_start import ADMIN_KEY_FILE
from sixfold.settings import Settings


def doctor(
    context: typer.Context,
    backed_up: Annotated[
        bool, typer.Option("--backed-up", help="Note that the master key has been backed up.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show where data and keys lie, and warn of what could be lost."""
    settings = settings_of(context)
    if backed_up:
        _note_backup(settings)
    findings = list(_findings(settings))
    print_rows(findings, ("what", "where", "state"), as_json)
    if not as_json and any(finding["state"].startswith("WARNING") for finding in findings):
        console.print("After backing the master key up, run `sixfold doctor --backed-up`.")


def _findings(settings: Settings) -> Iterator[dict[str, Any]]:
    log = settings.log_file
    size_mb = log.stat().st_size >> 20 if log.exists() else 0
    yield _finding("log, state and views", log, f"{size_mb} MB" if log.exists() else "not made yet")
    yield _finding("lake", settings.lake, "there" if settings.lake.exists() else "not made yet")
    yield _finding("vault", settings.data / "vault", _vault_state(settings))
    yield _finding("master key", *_master_key(settings))
    admin = settings.data / ADMIN_KEY_FILE
    yield _finding("admin API key", admin, "there" if admin.exists() else "taken away")
    yield _finding("free disk", settings.data, _free(settings))


def _finding(what: str, where: object, state: str) -> dict[str, Any]:
    return {"what": what, "where": str(where), "state": state}


def _vault_state(settings: Settings) -> str:
    return "there" if (settings.data / "vault").exists() else "not made yet"


def _master_key(settings: Settings) -> tuple[str, str]:
    if not (settings.data / "vault").exists():
        return str(settings.master_key), "not made yet"
    description = master_keys(settings.data / "vault", settings.master_key, os.environ).describe()
    versions = f"versions {', '.join(map(str, description.versions))}"
    if description.backed_up:
        return description.location, f"{versions}, backed up"
    return (
        description.location,
        f"WARNING: {versions}, not backed up; without it nothing sealed can be read",
    )


def _free(settings: Settings) -> str:
    directory = settings.data if settings.data.exists() else Path.cwd()
    free_mb = shutil.disk_usage(directory).free >> 20
    if free_mb < settings.log.watermark_mb:
        return f"WARNING: {free_mb} MB, below the watermark of {settings.log.watermark_mb} MB"
    return f"{free_mb} MB"


def _note_backup(settings: Settings) -> None:
    keys = master_keys(settings.data / "vault", settings.master_key, os.environ)
    if not isinstance(keys, KeyFile):
        raise SixfoldError("the master key comes from the environment: nothing to note")
    keys.mark_backed_up(datetime.now(UTC).date())
