"""What every process of the platform has: the log, the vault, the views, and how events get in."""

import os
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteViews
from connectors.vault.opening import open_vault
from connectors.vault.sqlite import SqliteVault
from schemas.event import Data
from schemas.ids import uuid7
from sixfold.errors import BadSettings, NoDirectory, NoHost
from sixfold.settings import Settings
from sixfold.wiring import CATALOG, FOLDS
from streams.log import Position
from streams.sealing import Origin, Sealer


@dataclass
class Platform:
    """The open parts of one data directory."""

    settings: Settings
    log: SqliteLog
    vault: SqliteVault
    views: SqliteViews
    sealer: Sealer

    @classmethod
    def create(cls, settings: Settings) -> "Platform":
        """Open a data directory, making what is missing.

        Raises:
            NoDirectory: it cannot be made.
            BadSettings: log and store are to be elsewhere, which is not possible yet.
        """
        if settings.log.url:
            raise BadSettings(
                "log.url and store.url: the platform does not run on Kafka and Cassandra yet; unset "
                "both to run on the embedded log and store"
            )
        make_directory("data", settings.data)
        with ExitStack() as opened:
            vault = open_vault(settings.data / "vault", settings.master_key, os.environ)
            opened.callback(vault.close)
            log = SqliteLog(
                settings.log_file,
                settings.log.synchronous,
                settings.log.watermark_mb << 20,
                settings.log.max_queue_mb << 20,
            )
            opened.callback(log.close)
            log.create(CATALOG.topics.values())
            opened.pop_all()
        return cls(settings, log, vault, SqliteViews(log, FOLDS), Sealer(CATALOG, vault))

    @classmethod
    def open(cls, settings: Settings) -> "Platform":
        """Open a data directory that a host has made.

        Raises:
            NoHost: there is none.
        """
        if not settings.log_file.exists():
            raise NoHost(
                f"there is no data in {settings.data}: start the platform with `sixfold up`"
            )
        return cls.create(settings)

    def append(self, tenant: str, source: str, *events: Data) -> "Future[Sequence[Position]]":
        """Append events as the platform itself."""
        now = datetime.now(UTC)
        origin = Origin(source=source, tenant=tenant, time=now)
        now_ms = int(now.timestamp() * 1000)
        entries = [self.sealer.entry(event, origin, uuid7(now_ms)) for event in events]
        return self.log.append(entries)

    def close(self) -> None:
        """Finish what was appended, and close everything."""
        self.log.close()
        self.vault.close()

    def __enter__(self) -> "Platform":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def make_directory(setting: str, directory: Path) -> None:
    """Make a directory that a setting names.

    Raises:
        NoDirectory: it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NoDirectory(f"{setting}: {directory} cannot be made: {error.strerror}") from error
