"""Commands are imported when they are called."""

import subprocess
import sys

import pytest
from commanding import Commands

from sixfold.cli import app
from sixfold.lazy import LazyGroup, Place

HEAVY = {"duckdb", "faust", "httpx", "litestar", "pyarrow", "deltalake"}

group = app.info.cls
assert isinstance(group, type) and issubclass(group, LazyGroup)
PLACES = group.PLACES


@pytest.mark.parametrize(("name", "place"), PLACES.items())
def test_the_list_of_commands_says_what_each_says_itself(name: str, place: Place) -> None:
    command = place.command(name)
    assert command.name == name
    assert command.help.splitlines()[0] == place.help


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    code = f"""
import sys
from sixfold.cli import main
sys.argv = ["sixfold", "{option}"]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stderr.split())


def test_a_command_that_is_not_there_is_a_wrong_call(tmp_path) -> None:
    assert "No such command" in Commands(tmp_path).misused("tailor")
