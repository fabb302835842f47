"""`sixfold topics` and `sixfold tail`: what is in the log, and how far agents are."""

import json
from pathlib import Path

import pytest
from commanding import Commands

from schemas.links import LinkClicked
from sixfold.platform import Platform
from sixfold.settings import Settings, VaultSection
from streams.log import Entry


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """On a log of three clicks that nobody has counted."""
    made = Commands(tmp_path)
    settings = Settings(data=made.data, vault=VaultSection(master_key=str(made.key_file)))
    with Platform.create(settings) as platform:
        for n in range(3):
            platform.append("main", "test", LinkClicked("abc", f"visitor{n}")).result()
    return made


def test_every_partition_is_shown_with_the_lag_of_each_agent(commands: Commands) -> None:
    rows = [json.loads(line) for line in commands.run("topics", "--json").splitlines()]
    clicks = [row for row in rows if row["topic"] == "clicks"]
    assert [row["partition"] for row in clicks] == [0, 1, 2, 3]
    assert {row["agent"] for row in clicks} == {"links-stats"}
    assert sum(row["next"] - row["first"] for row in clicks) == 3
    assert sum(row["lag"] for row in clicks) == 3
    assert "links-stats" in commands.run("topics")


def test_tail_prints_the_newest_events_as_the_log_has_them(commands: Commands) -> None:
    lines = commands.run("tail", "clicks", "-n", "2").splitlines()
    assert len(lines) == 2
    position, _, event = lines[-1].partition(" ")
    assert position.startswith("clicks/")
    assert position.endswith("/2")
    assert json.loads(event)["data"] == {"link": "abc", "visitor": "visitor2"}


def test_tail_of_what_is_no_topic_says_so(commands: Commands) -> None:
    assert "there is no topic 'nothing', but" in commands.misused("tail", "nothing")


def test_tail_prints_json_with_the_position_in_it(commands: Commands) -> None:
    lines = [json.loads(line) for line in commands.run("tail", "clicks", "--json").splitlines()]
    assert [line["position"].rpartition("/")[2] for line in lines] == ["0", "1", "2"]
    assert lines[0]["event"]["data"] == {"link": "abc", "visitor": "visitor0"}


def test_what_is_no_json_is_a_text_in_json(commands: Commands) -> None:
    settings = Settings(data=commands.data, vault=VaultSection(master_key=str(commands.key_file)))
    with Platform.open(settings) as platform:
        platform.log.append([Entry("clicks", 0, None, b"not \xff json")]).result()
    lines = [json.loads(line) for line in commands.run("tail", "clicks", "--json").splitlines()]
    assert "not \N{REPLACEMENT CHARACTER} json" in [line["event"] for line in lines]


def test_a_letter_that_is_none_is_a_wrong_call(commands: Commands) -> None:
    assert "is no position" in commands.misused("dead", "show", "x")
    assert "there is no dead letter" in commands.misused("dead", "requeue", "dead/0/7")


def test_a_view_that_is_none_is_a_wrong_call(commands: Commands) -> None:
    assert "there is no view or fold 'x'" in commands.misused("views", "rebuild", "x")


def test_tail_of_fewer_records_than_none_is_refused(commands: Commands) -> None:
    assert "--records" in commands.misused("tail", "clicks", "-n", "-1")
