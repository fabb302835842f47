"""A backup is restored: no key is made again, and the lake neither loses nor repeats an event."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from batch.archive import archive
from batch.engine import Engine
from batch.errors import LogRestored
from batch.lake import Lake
from connectors.errors import HostLocked
from connectors.lock import HostLock
from schemas.links import BLOCKS
from sixfold.commands.restored import restored
from sixfold.commands.run import gateway
from sixfold.errors import NoHost
from sixfold.first_start import ADMIN_KEY_FILE
from sixfold.host import Host
from sixfold.platform import Platform
from sixfold.settings import Settings, load
from sixfold.wiring import CATALOG

TARGET = "http://127.0.0.1:9/"
_COUNTED = "SELECT count(*) AS rows, count(DISTINCT id) AS events FROM links"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SIXFOLD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SIXFOLD_VAULT_MASTER_KEY", str(tmp_path / "master.key"))
    monkeypatch.setenv("SIXFOLD_GATEWAY_PORT", "0")
    monkeypatch.setenv("SIXFOLD_LINKS_ALLOW_PRIVATE", "true")
    return load(tmp_path / "sixfold.toml")


@pytest.fixture
def run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Any], None]:
    """Runs a command as from a terminal, but leaves this process's logging as it is."""
    monkeypatch.setattr("sixfold.commands.run.configure", lambda: None)

    def run(command: Any) -> None:
        app = typer.Typer()
        app.command()(command)
        result = CliRunner().invoke(app, obj=tmp_path / "sixfold.toml")
        if result.exception:
            raise result.exception

    return run


@asynccontextmanager
async def hosting(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    host = Host(settings)
    await host.start()
    try:
        assert host.gateway is not None
        key = (settings.data / ADMIN_KEY_FILE).read_text().strip()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{host.gateway.port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        ) as client:
            yield client
    finally:
        await host.stop()


async def made(client: httpx.AsyncClient, count: int) -> set[str]:
    """The keys of new links."""
    body = {"urls": [{"long_url": TARGET}] * count}
    answer = await client.post("/api/v1/urls/bulk", json=body)
    assert answer.status_code == 201, answer.text
    return {link["url"]["key"] for link in answer.json()["urls"]}


def make(settings: Settings, count: int) -> set[str]:
    """The keys of new links that a host has made that was started for it."""

    async def main() -> set[str]:
        async with hosting(settings) as client:
            return await made(client, count)

    return asyncio.run(main())


def back_up(settings: Settings) -> None:
    """Copy the log while it is in use, as docs/operations.md says."""
    with (
        closing(sqlite3.connect(settings.log_file)) as log,
        closing(sqlite3.connect(settings.data.parent / "backup.db")) as copy,
    ):
        log.backup(copy)


def archive_all(settings: Settings) -> None:
    with Platform.open(settings) as platform:
        archive(Lake(settings.lake, CATALOG), platform.log)


def queried(settings: Settings, query: str) -> list[dict[str, Any]]:
    lake = Lake(settings.lake, CATALOG)
    with Platform.open(settings) as platform, Engine(lake, platform.log) as engine:
        rows: list[dict[str, Any]] = engine.sql(query).read_all().to_pylist()
        return rows


@pytest.fixture
def lives(settings: Settings) -> Iterator[tuple[set[str], set[str]]]:
    """The keys from before a backup and from after it; the log is restored, the lake is not."""

    async def main() -> tuple[set[str], set[str]]:
        async with hosting(settings) as client:
            kept = await made(client, 40)
            back_up(settings)
            # Into a second block, so that a third is granted ahead.
            return kept, await made(client, 980)

    lives = asyncio.run(main())
    archive_all(settings)
    shutil.copy(settings.data.parent / "backup.db", settings.log_file)
    yield lives


@pytest.mark.usefixtures("lives")
def test_a_log_that_is_older_than_the_lake_is_taken_by_nobody(
    settings: Settings, run: Callable[[Any], None]
) -> None:
    for attempt in (
        lambda: make(settings, 1),
        lambda: run(gateway),
        lambda: archive_all(settings),
        lambda: queried(settings, "FROM links"),
    ):
        with pytest.raises(LogRestored, match="run `sixfold restored` once"):
            attempt()


def test_once_that_is_said_nothing_is_lost_nor_repeated_and_no_key_made_again(
    settings: Settings, lives: tuple[set[str], set[str]], run: Callable[[Any], None]
) -> None:
    kept, lost = lives
    run(restored)

    async def main() -> set[str]:
        async with hosting(settings) as client:
            new = await made(client, 980)
            answers = [await client.get(f"/{key}") for key in (min(kept), min(lost), min(new))]
            assert [answer.status_code for answer in answers] == [302, 404, 302]
            return new

    new = asyncio.run(main())
    assert len(kept | lost | new) == 2_000
    assert queried(settings, _COUNTED) == [{"rows": 2_000, "events": 2_000}]
    archive_all(settings)
    assert queried(settings, _COUNTED) == [{"rows": 2_000, "events": 2_000}]
    assert {row["link"] for row in queried(settings, "SELECT link FROM links")} == kept | lost | new


def test_a_data_directory_that_was_restored_whole_makes_no_key_again(
    settings: Settings, run: Callable[[Any], None]
) -> None:
    backup = settings.data.parent / "backup"
    kept = make(settings, 40)
    archive_all(settings)
    shutil.copytree(settings.data, backup)
    lost = make(settings, 980)
    shutil.rmtree(settings.data)
    shutil.copytree(backup, settings.data)
    run(restored)
    new = make(settings, 980)
    assert len(kept | lost | new) == 2_000
    archive_all(settings)
    assert {row["link"] for row in queried(settings, "SELECT link FROM links")} == kept | new
    assert queried(settings, _COUNTED) == [{"rows": 1_020, "events": 1_020}]


def test_a_raised_base_keeps_a_second_log_from_keys_of_the_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = make(settings, 980)
    with Platform.open(settings) as platform:
        granted = platform.log.bounds(BLOCKS.name, 0)[1]
    settings.log_file.unlink()  # the vault, which has the secret of keys, stays
    (settings.data / ADMIN_KEY_FILE).unlink()
    monkeypatch.setenv("SIXFOLD_LINKS_BASE", str(granted))
    assert not make(load(tmp_path / "sixfold.toml"), 980) & keys


def test_a_lake_that_cannot_be_read_keeps_nobody_from_serving(settings: Settings) -> None:
    table = settings.lake / "links" / "_delta_log"
    table.mkdir(parents=True)
    (table / f"{0:020}.json").write_text("nonsense")
    assert len(make(settings, 1)) == 1


def test_only_who_is_alone_may_say_that_a_log_was_restored(
    settings: Settings, run: Callable[[Any], None]
) -> None:
    with pytest.raises(NoHost, match="there is no data"):
        run(restored)
    Platform.create(settings).close()
    with HostLock(settings.data), pytest.raises(HostLocked):
        run(restored)
