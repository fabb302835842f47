"""What is printed is plain text: nothing that strangers have named vanishes, or makes it fail."""

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from sixfold import cli
from sixfold.commands import context
from sixfold.errors import SixfoldError

TRICKY = "[log] [/] [bold]x[/bold] :smile: [link=https://evil.example]y[/link]"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "200")
    yield


def test_an_error_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise SixfoldError(TRICKY)

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert capsys.readouterr().err == f"sixfold: {TRICKY}\n"


def test_a_wrong_setting_is_named_with_its_section(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = tmp_path / "[log].toml"
    settings.write_text("[log]\nwatermark_mb = '[/]'\n")
    monkeypatch.setattr(sys, "argv", ["sixfold", "--config", str(settings), "topics"])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert f"sixfold: {settings}:2: log.watermark_mb:" in capsys.readouterr().err


def test_rows_and_bars_show_what_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    context.print_rows([{"key": TRICKY}], ["key"], as_json=False)
    with context.progress_bar() as bar:
        bar.add_task(TRICKY, total=1)
        context.console.print(bar.get_renderable())
        context.console.print(TRICKY)
    assert capsys.readouterr().out.count(TRICKY) >= 3


def test_a_long_line_is_left_to_the_terminal_so_that_it_can_be_copied(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = f"/a{'/very/long' * 40}/path"
    context.console.print(path)
    context.errors.print(path)
    assert capsys.readouterr() == (f"{path}\n", f"{path}\n")


def test_a_settings_file_that_is_asked_for_and_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = tmp_path / "sixfold.toml"
    monkeypatch.setattr(sys, "argv", ["sixfold", "--config", str(missing), "topics"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert "there is no file" in capsys.readouterr().err


def test_the_version_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sixfold", "--version"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert capsys.readouterr().out.strip() == version("sixfold")
