"""The examples of the documentation do what they show, in the order in which they stand there.

A line that begins with `$ ` in a block of the language `console`, or any line in one of the
language `sh`, is typed into a shell in a new directory with a platform of its own. What stands
below it must be printed, where `…` stands for anything, and alone on a line for any lines. A block
that is not run says why: `<!-- not run: … -->`.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from platform_process import PlatformProcess

from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import applied_offset
from sixfold.settings import load
from sixfold.wiring import FOLDS

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(?P<skip><!-- not run: .+ -->\n)?```(?P<language>console|sh)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
START = "make up"  # runs `sixfold up` until it is told to stop
QUIET_S = 0.3


class Example(NamedTuple):
    command: str
    output: list[str]


class Shell:
    """A shell in which commands are typed one after the other."""

    def __init__(self, platform: PlatformProcess) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=platform.directory,
            env=platform.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> tuple[int, list[str]]:
        """The exit code, and the lines that were printed."""
        assert self._bash.stdin
        assert self._bash.stdout
        end = uuid4().hex
        self._bash.stdin.write(f"{{ {command}\n}} < /dev/null; printf '\\n%s %s\\n' {end} $?\n")
        self._bash.stdin.flush()
        text = ""
        while not (line := self._bash.stdout.readline()).startswith(end):
            assert line, f"the shell has ended: {text}"
            text += line
        return int(line.split()[1]), text.removesuffix("\n").splitlines()

    def close(self) -> None:
        self._bash.kill()
        self._bash.communicate()


def examples(document: str) -> Iterator[Example]:
    """What a document shows."""
    for block in BLOCK.finditer((ROOT / document).read_text()):
        if block["skip"]:
            continue
        lines = block["text"].splitlines()
        if block["language"] == "sh":
            yield from (Example(line, []) for line in lines)
            continue
        while lines:
            assert lines[0].startswith("$ "), f"{document}: {lines[0]!r} is no command"
            command = lines.pop(0).removeprefix("$ ")
            while command.endswith("\\"):
                command += "\n" + lines.pop(0)
            output = []
            while lines and not lines[0].startswith("$ "):
                output.append(lines.pop(0))
            yield Example(command, output[:-1] if output[-1:] == [""] else output)


def pattern(shown: list[str]) -> re.Pattern[str]:
    """What matches the lines that are shown."""
    found = ""
    for line in shown:
        if line == "…":
            found += r"(?:.*\n)*?"
        else:
            found += ".*".join(re.escape(part) for part in re.split(r"\s*…\s*", line)) + "\n"
    return re.compile(found)


def settled(platform: PlatformProcess) -> None:
    """Wait, as people do by their slowness, until clicks are appended and counted."""
    with closing(SqliteLog(platform.directory / "data" / "log.db")) as log:
        while asyncio.run(log.changed(log.version(), QUIET_S)) or any(
            applied_offset(log, fold.name, topic, partition) < log.bounds(topic, partition)[1]
            for fold in FOLDS
            for topic in fold.topics
            for partition in range(log.topics()[topic])
        ):
            pass


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PlatformProcess]:
    """As in the documentation, but for the port and the home directory."""
    process = PlatformProcess(tmp_path)
    programs = Path(sys.executable).parent
    (tmp_path / ".venv").symlink_to(programs.parent)
    (tmp_path / "home").mkdir()
    process.environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "160",
        "SIXFOLD_GATEWAY_PORT": str(process.port),
        "SIXFOLD_LINKS_FOLLOW_REDIRECTS": "false",  # nothing outside is asked
    }
    process.start()
    yield process
    process.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
@pytest.mark.parametrize("document", ["README.md", "docs/links.md", "docs/operations.md"])
def test_examples_do_what_they_show(document: str, platform: PlatformProcess) -> None:
    def as_shown(lines: list[str]) -> str:
        text = "".join(f"{line}\n" for line in lines if not line.startswith("timestamp="))
        text = text.replace(f":{platform.port}", ":8080")
        return text.replace(platform.environment["HOME"], "~")

    ran = 0
    with closing(Shell(platform)) as shell:
        for command, shown in examples(document):
            settled(platform)
            if command == START:
                code, printed = 0, platform.output().splitlines()
            else:
                code, printed = shell.run(command.replace(":8080", f":{platform.port}"))
            text = as_shown(printed)
            is_refused = bool(shown) and shown[0].startswith("sixfold: ")
            assert (code != 0) == is_refused, f"{command}\n{text}"
            assert not shown or pattern(shown).fullmatch(text), f"{command}\n{text}"
            ran += 1
    assert ran > 0


def test_the_settings_that_are_shown_are_settings(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M)
    file = tmp_path / "sixfold.toml"
    file.write_text(shown)
    assert load(file, {}).links.blocked_hosts == ["malware.example"]
