"""The demo is the whole platform at work, in small here: what the API and SQL count must agree."""

import asyncio
from pathlib import Path

import pytest
import uvloop
from commanding import Commands

from sixfold import demo
from sixfold.errors import SixfoldError

LINE = (
    '198.51.100.{n} - - [17/May/2024:10:05:{n:02} +0000] "GET /{path} HTTP/1.1" 200 1 "-" "{by}"\n'
)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.fixture(autouse=True)
def in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "LINKS", 5)
    monkeypatch.setattr(demo, "CLICKS_MADE", 120)


def run(access_log: Path | None = None) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(demo.demo(access_log))


def test_links_that_are_followed_over_http_are_counted_alike(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run()
    said = capsys.readouterr().out
    assert "5 links made" in said
    assert "120 clicks over HTTP" in said
    assert "Statistics API and SQL agree on all" in said


def test_so_are_those_of_an_access_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "access.log"
    lines = [LINE.format(n=n, path=n % 3, by=BOT if n % 5 == 0 else BROWSER) for n in range(50)]
    file.write_text("".join(lines) + "nonsense\n")
    for _ in range(2):  # each time on fresh data
        run(file)
        said = capsys.readouterr().out
        assert "51 lines read, 0 of them imported before; 50 clicks and 3 links added" in said
        assert "agree on all 3 links, 50 clicks" in said


def test_it_fails_if_they_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = demo._COUNTS.replace("count(*) FILTER (kind = 'human')", "1 + count(*)")
    assert wrong != demo._COUNTS
    monkeypatch.setattr(demo, "_COUNTS", wrong)
    with pytest.raises(SixfoldError, match="disagree"):
        run()


def test_an_access_log_that_is_not_there_leaves_the_last_demo_alone(tmp_path: Path) -> None:
    kept = tmp_path / "demo-data" / "kept"
    kept.mkdir(parents=True)
    refusal = Commands(tmp_path).refused("demo", "--access-log", str(tmp_path / "missing.log"))
    assert "missing.log cannot be read: No such file or directory" in refusal
    assert kept.exists()
