"""`sixfold upgrade` on a data directory."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from commanding import Commands

from connectors.formats import Format, Migration
from connectors.lock import HostLock
from connectors.vault import tables
from sixfold.platform import Platform
from sixfold.settings import Settings, VaultSection

FORMAT_1 = """
DROP TABLE seen;
CREATE TABLE seen (
    topic TEXT NOT NULL,
    generation INTEGER NOT NULL,
    id TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, generation, id)
) WITHOUT ROWID;
INSERT INTO seen VALUES ('links', 1, 'id', 0);
PRAGMA user_version=1;
"""


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """On a data directory that has just been made."""
    made = Commands(tmp_path)
    settings = Settings(data=made.data, vault=VaultSection(master_key=str(made.key_file)))
    Platform.create(settings).close()
    return made


def test_what_is_new_needs_no_upgrade(commands: Commands) -> None:
    assert commands.run("upgrade") == "all files have the newest format\n"


def test_a_log_of_format_1_is_refused_until_it_is_upgraded(commands: Commands) -> None:
    log = commands.data / "log.db"
    with closing(sqlite3.connect(log)) as connection:
        connection.executescript(FORMAT_1)
    assert "log.db has format 1, and this Sixfold needs 2" in commands.refused("topics")
    assert f"{log}: format 1 → 2: ids of events are remembered by tenant" in commands.run("upgrade")
    assert "blocks" in commands.run("topics")
    with closing(sqlite3.connect(log)) as connection:
        assert connection.execute("SELECT tenant FROM seen").fetchall() == []


def test_the_vault_is_upgraded_too(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = Migration(
        "secrets are called otherwise",
        lambda connection: connection.execute("UPDATE secret SET name = name || x'00'"),
    )
    monkeypatch.setattr(tables, "FORMAT", Format(renamed))
    assert "vault.db has format 1, and this Sixfold needs 2" in commands.refused("vault", "status")
    vault = commands.data / "vault" / "vault.db"
    assert commands.run("upgrade").splitlines() == [
        f"{vault}: format 1 → 2: secrets are called otherwise",
        "all files have the newest format",
    ]
    with closing(sqlite3.connect(vault)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_newer_file_is_refused(commands: Commands) -> None:
    with closing(sqlite3.connect(commands.data / "vault" / "suppressed.db")) as connection:
        connection.execute("PRAGMA user_version=9")
    refused = commands.refused("upgrade")
    assert "suppressed.db has format 9, and this Sixfold reads up to 1" in refused


def test_nothing_is_upgraded_under_a_running_host(commands: Commands) -> None:
    with HostLock(commands.data):
        assert "has a host already" in commands.refused("upgrade")
    with closing(sqlite3.connect(commands.data / "log.db")) as connection:
        connection.execute("SELECT * FROM meta").fetchall()
        assert "another process has it open" in commands.refused("upgrade")


def test_without_data_it_says_so(tmp_path: Path) -> None:
    assert "there is no data" in Commands(tmp_path).refused("upgrade")
