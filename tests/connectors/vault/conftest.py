"""Vaults to test with."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.vault.master import EphemeralMasterKey
from connectors.vault.sqlite import SqliteVault


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 20_000 * 86_400 + 3_600.0

    def __call__(self) -> float:
        return self.now_s


class Desk:
    """A directory whose vault can be opened any number of times, as by several processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.master = EphemeralMasterKey()
        self._opened: list[SqliteVault] = []

    def open(self) -> SqliteVault:
        vault = SqliteVault.open(self.directory, self.master, self.clock)
        self._opened.append(vault)
        return vault

    def close(self) -> None:
        for vault in self._opened:
            vault.close()
        self._opened.clear()

    def bytes_on_disk(self) -> bytes:
        """All that the vault's files hold now, the write-ahead log included."""
        return b"".join(path.read_bytes() for path in sorted(self.directory.glob("vault.db*")))

    def column(self, query: str, *parameters: object) -> list[object]:
        """What another program reads from the vault's file."""
        connection = sqlite3.connect(self.directory / "vault.db")
        try:
            return [row[0] for row in connection.execute(query, parameters)]
        finally:
            connection.close()

    def back_up(self, target: Path) -> None:
        source, copy = sqlite3.connect(self.directory / "vault.db"), sqlite3.connect(target)
        source.backup(copy)
        copy.close()
        source.close()

    def restore(self, backup: Path) -> None:
        self.close()
        for path in self.directory.glob("vault.db-*"):
            path.unlink()
        (self.directory / "vault.db").write_bytes(backup.read_bytes())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "vault")
    yield made
    made.close()


@pytest.fixture
def vault(desk: Desk) -> SqliteVault:
    return desk.open()
