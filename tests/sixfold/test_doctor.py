"""`sixfold doctor` says where everything lies, and warns of what could be lost."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from commanding import Commands

from sixfold.platform import Platform
from sixfold.settings import Settings, VaultSection


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def first_start(commands: Commands) -> None:
    master_key = VaultSection(master_key=str(commands.key_file))
    Platform.create(Settings(data=commands.data, vault=master_key)).close()


def findings(commands: Commands, *options: str) -> dict[str, tuple[str, str]]:
    lines = commands.run("doctor", "--json", *options).splitlines()
    return {row["what"]: (row["where"], row["state"]) for row in map(json.loads, lines)}


def test_before_the_first_start_nothing_is_made_and_nothing_warned_of(commands: Commands) -> None:
    found = findings(commands)
    assert found["master key"] == (str(commands.key_file), "not made yet")
    assert not any(state.startswith("WARNING") for _, state in found.values())
    assert not commands.key_file.exists()
    assert not commands.data.exists()


def test_the_master_key_is_named_and_warned_about_until_it_is_backed_up(commands: Commands) -> None:
    first_start(commands)
    for _ in range(2):  # however often one looks
        where, state = findings(commands)["master key"]
        assert where == str(commands.key_file)
        assert state.startswith("WARNING")
        assert "not backed up" in state
        assert "`sixfold doctor --backed-up`" in commands.run("doctor")
    assert findings(commands, "--backed-up")["master key"][1] == "versions 1, backed up"
    where, state = findings(commands)["master key"]
    assert "WARNING" not in state
    assert "--backed-up" not in commands.run("doctor")


def test_everything_that_is_there_is_named_with_its_place(commands: Commands) -> None:
    first_start(commands)
    commands.run("batch", "run", "archive")
    found = findings(commands)
    for what, file in (
        ("log, state and views", commands.data / "log.db"),
        ("vault", commands.data / "vault"),
        ("lake", commands.data / "lake"),
    ):
        assert found[what][0] == str(file)
        assert file.exists()
        assert found[what][1] != "not made yet"


def test_a_disk_below_the_watermark_is_warned_of(commands: Commands) -> None:
    first_start(commands)
    commands.environment["SIXFOLD_LOG_WATERMARK_MB"] = str(1 << 40)
    assert findings(commands)["free disk"][1].startswith("WARNING")


def test_a_key_from_the_environment_is_named_as_such(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIXFOLD_MASTER_KEY", b64encode(bytes(range(32))).decode())
    first_start(commands)
    assert findings(commands)["master key"][0] == "the environment variable SIXFOLD_MASTER_KEY"
    assert "comes from the environment" in commands.refused("doctor", "--backed-up")
    assert not commands.key_file.exists()
