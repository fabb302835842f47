"""`sixfold vault` on a vault that nobody else has open."""

import json
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from commanding import Commands

from connectors.vault.keyfile import KeyFile
from connectors.vault.sqlite import SqliteVault


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def status(commands: Commands) -> dict[int, int]:
    """Values by version of the master key."""
    lines = commands.run("vault", "status", "--json").splitlines()
    return {row["version"]: row["values"] for row in map(json.loads, lines)}


def test_rewrapping_goes_on_where_it_was_left(commands: Commands) -> None:
    directory = commands.data / "vault"
    directory.mkdir(parents=True)
    with closing(SqliteVault.open(directory, KeyFile.create(commands.key_file))) as vault:
        for n in range(30):
            vault.pseudonym("main", f"person {n}")
        assert "`sixfold vault rewrap`" in commands.run("vault", "rotate")
        assert sum(islice(vault.rewrap(batch=10), 2)) == 20
    assert status(commands) == {1: 11, 2: 20}
    assert "in use by 11 values" in commands.refused("vault", "retire", "1")
    assert "11 values were wrapped under version 2" in commands.run("vault", "rewrap")
    assert "0 values were wrapped" in commands.run("vault", "rewrap")
    assert "unused: retire" in commands.run("vault", "status")
    assert "has no version 3, but 1, 2" in commands.misused("vault", "retire", "3")
    assert "version 2 is the newest" in commands.refused("vault", "retire", "2")
    assert "Version 1 is gone" in commands.run("vault", "retire", "1")
    assert status(commands) == {2: 31}


def test_what_is_backed_up_stays_so_until_a_version_is_added(commands: Commands) -> None:
    directory = commands.data / "vault"
    directory.mkdir(parents=True)
    SqliteVault.open(directory, KeyFile.create(commands.key_file)).close()
    assert "versions 1, backed up" in commands.run("doctor", "--backed-up")
    commands.run("vault", "rotate")
    assert "WARNING: versions 1, 2, not backed up" in commands.run("doctor")
    commands.run("doctor", "--backed-up")
    commands.run("vault", "rewrap")
    commands.run("vault", "retire", "1")
    assert "versions 2, backed up" in commands.run("doctor")


def test_without_a_vault_the_commands_say_so(commands: Commands) -> None:
    assert "there is no vault in" in commands.refused("vault", "status")
    assert not commands.key_file.exists()
