import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from schemas.errors import BreakingChange
from schemas.fields import Personal, Subject
from sixfold.commands import schemas
from sixfold.wiring import CATALOG
from streams.fold import Fold
from streams.state import Table, Tables
from streams.views import Partition, View


def run(*arguments: str) -> Result:
    return CliRunner().invoke(schemas.app, arguments)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_was_exported_passes_the_check(tmp_path: Path):
    exported = run("export", "--to", str(tmp_path))
    assert exported.exit_code == 0
    assert len(exported.stdout.splitlines()) == len(CATALOG.types) + 1
    checked = run("check", "--against", str(tmp_path))
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert checked.stdout == f"{len(CATALOG.types)} event types are as published\n"


def test_what_is_not_published_fails_the_check(tmp_path: Path):
    checked = run("check", "--against", str(tmp_path))
    assert (checked.exit_code, checked.stdout) == (1, "")
    assert "link.clicked: not published: run `sixfold schemas export`\n" in checked.stderr


def test_a_breaking_change_fails_check_and_export(tmp_path: Path):
    run("export", "--to", str(tmp_path))
    change(tmp_path / "link.clicked.json", '"partitions": 4', '"partitions": 8')
    checked = run("check", "--against", str(tmp_path))
    assert checked.exit_code == 1
    assert checked.stderr.startswith("link.clicked: the topic had 8 partitions and now has 4")
    exported = run("export", "--to", str(tmp_path))
    assert exported.exit_code == 1
    assert isinstance(exported.exception, BreakingChange)


def test_the_data_map_names_every_place_of_a_subject():
    rows = [json.loads(line) for line in run("datamap", "--json").stdout.splitlines()]
    places = {(row["kind"], row["name"]): row["persons"] for row in rows}
    assert places["event", "link.clicked"] == ["user"]
    assert places["state", "links.links"] == ["value.created_by"]
    assert places["view", "link"] == ["created_by"]
    assert run("datamap").exit_code == 0


class Ballot(View):
    poll: Partition[str]
    voter: Subject
    comment: Personal[str] | None


class State(Tables):
    choice: Table[tuple[str, Subject], int]


def folds_of(views: Sequence[type[View]]) -> list[Fold]:
    return [
        Fold(
            name="polls",
            version=1,
            types=frozenset(),
            topics=("polls",),
            views=tuple(views),
            state=State,
            run=lambda batch, state, out: None,
            erase=None,
            tick=None,
            tick_s=1.0,
            batch_interval_s=0.0,
            opens=False,
        )
    ]


def test_stores_are_the_tables_and_views_of_folds():
    choice, ballot = folds_of([Ballot])[0].stores
    assert (choice.kind, choice.name) == ("state", "polls.choice")
    assert choice.fields == {"key": tuple[str, Subject], "value": int}
    assert (ballot.kind, ballot.name) == ("view", "ballot")
    assert list(ballot.fields) == ["poll", "voter", "comment"]


def test_personal_data_in_a_view_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run("export", "--to", str(tmp_path))
    monkeypatch.setattr(schemas, "FOLDS", folds_of([Ballot]))
    checked = run("check", "--against", str(tmp_path))
    assert checked.exit_code == 1
    assert checked.stderr.startswith("ballot.comment: lies in the clear")
