"""Importing access logs: every line once, however often, in whatever pieces, and whatever happens."""

import asyncio
import gzip
import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commanding import Commands

from batch.engine import Engine
from batch.lake import Lake
from connectors.sources import import_log
from connectors.sources.import_log import Imported, Target
from sixfold.errors import ImportRunning
from sixfold.host import Host
from sixfold.importing import STANDARD_INPUT, import_access_log, into_platform
from sixfold.platform import Platform
from sixfold.settings import GatewaySection, Settings, VaultSection
from sixfold.wiring import CATALOG

BASE = "https://www.example"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def line(n: int, path: str, agent: str = BROWSER) -> str:
    when = f"{1 + n // 86_400:02}/May/2024:{n // 3_600 % 24:02}:{n // 60 % 60:02}:{n % 60:02} +0200"
    return f'203.0.113.{n % 250} - - [{when}] "GET {path} HTTP/1.1" 200 77 "-" "{agent}"\n'


def log_of(count: int, start: int = 0) -> str:
    return "".join(line(n, f"/page/{n % 7}") for n in range(start, start + count))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path / "data",
        vault=VaultSection(master_key=str(tmp_path / "master.key")),
        gateway=GatewaySection(port=0),
    )


def written(directory: Path, text: str, name: str = "access.log") -> Path:
    file = directory / name
    file.write_text(text)
    return file


def imported(settings: Settings, file: Path, base: str = BASE, tenant: str = "main") -> Imported:
    return asyncio.run(import_access_log(settings, file, Target(tenant, base), lambda size: None))


def queried(settings: Settings, query: str) -> list[dict[str, Any]]:
    lake = Lake(settings.lake, CATALOG)
    with Platform.open(settings) as platform, Engine(lake, platform.log) as engine:
        rows: list[dict[str, Any]] = engine.sql(query).read_all().to_pylist()
        return rows


def clicks(settings: Settings, tenant: str = "main") -> Counter[str]:
    """Clicks in the log by the URL of their link."""
    rows = queried(
        settings,
        "SELECT l.long_url AS url, count(*) AS n FROM clicks c JOIN links l ON l.link = c.link "
        f"WHERE l.type = 'link.requested' AND c.tenant = '{tenant}' GROUP BY ALL",
    )
    return Counter({row["url"]: row["n"] for row in rows})


def expected(count: int, base: str = BASE) -> Counter[str]:
    return Counter(f"{base}/page/{n % 7}" for n in range(count))


def test_each_path_is_a_link_and_each_request_a_click_at_its_time(
    settings: Settings, tmp_path: Path
) -> None:
    text = line(0, "/a?utm_source=news") + line(3_661, "/a?utm_source=news") + line(7, "/b", BOT)
    done = imported(settings, written(tmp_path, text))
    assert (done.lines, done.clicks, done.links, done.malformed) == (3, 3, 2, 0)
    found = queried(
        settings,
        "SELECT l.long_url AS url, kind, browser, utm_source, c.time_ms FROM clicks c "
        "JOIN links l ON l.link = c.link WHERE l.type = 'link.requested' ORDER BY c.time_ms",
    )
    midnight_ms = 1_714_514_400_000  # 2024-05-01T00:00:00+02:00
    assert found == [
        {
            **{"url": f"{BASE}/a?utm_source=news", "kind": "human", "browser": "Firefox"},
            **{"utm_source": "news", "time_ms": midnight_ms},
        },
        {
            **{"url": f"{BASE}/b", "kind": "bot", "browser": found[1]["browser"]},
            **{"utm_source": None, "time_ms": midnight_ms + 7_000},
        },
        {
            **{"url": f"{BASE}/a?utm_source=news", "kind": "human", "browser": "Firefox"},
            **{"utm_source": "news", "time_ms": midnight_ms + 3_661_000},
        },
    ]
    keys = [row["link"] for row in queried(settings, "SELECT DISTINCT link FROM clicks")]
    assert {len(key) for key in keys} == {7}


def test_malformed_lines_are_counted_with_their_reason_and_never_fatal(
    settings: Settings, tmp_path: Path
) -> None:
    text = "nonsense\n" + line(1, "/a") + "\x00\n" + line(2, "/a") + 'x "GET'
    done = imported(settings, written(tmp_path, text))
    assert (done.lines, done.clicks, done.malformed) == (5, 2, 3)
    assert [reason.line for reason in done.reasons] == [1, 3, 5]


def test_importing_again_adds_nothing_at_any_time(settings: Settings, tmp_path: Path) -> None:
    file = written(tmp_path, log_of(300))
    assert imported(settings, file).clicks == 300
    for _ in range(2):
        again = imported(settings, file)
        assert (again.lines, again.skipped_lines, again.clicks, again.links) == (300, 300, 0, 0)
    # By its contents, whatever it is called and however it is packed.
    packed = tmp_path / "other.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert imported(settings, packed).clicks == 0
    assert clicks(settings) == expected(300)


def test_standard_input_is_taken_too(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(log_of(30).encode())
    for raw, added in ((log_of(20).encode(), 20), (packed, 10)):
        stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(raw)))
        monkeypatch.setattr(sys, "stdin", stream)
        assert imported(settings, STANDARD_INPUT).clicks == added
    assert clicks(settings) == expected(30)


def test_a_log_that_has_grown_goes_on_where_it_was_left(settings: Settings, tmp_path: Path) -> None:
    for count in (50, 50, 120, 121):
        imported(settings, written(tmp_path, log_of(count)))
        assert clicks(settings) == expected(count)


def test_an_import_that_is_cut_short_goes_on_and_counts_nothing_twice(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_log, "STRETCH_LINES", 20)
    file = written(tmp_path, log_of(200))
    seen = []

    def cut(size: int) -> None:
        seen.append(size)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(import_access_log(settings, file, Target("main", BASE), cut))
    assert clicks(settings) == expected(80)
    monkeypatch.setattr(import_log, "STRETCH_LINES", 33)  # not where it was cut
    done = imported(settings, file)
    assert (done.skipped_lines, done.clicks) == (80, 120)
    assert clicks(settings) == expected(200)


def test_another_site_or_tenant_has_its_own(settings: Settings, tmp_path: Path) -> None:
    file = written(tmp_path, log_of(14))
    other = "https://other.example"
    assert imported(settings, file).clicks == 14
    assert imported(settings, file, base=other).clicks == 14
    assert imported(settings, file, tenant="second").clicks == 14
    assert clicks(settings) == expected(14) + expected(14, other)
    assert clicks(settings, "second") == expected(14)


def test_an_import_beside_a_running_host_needs_no_host_of_its_own(
    settings: Settings, tmp_path: Path
) -> None:
    file = written(tmp_path, log_of(40))

    async def main() -> Imported:
        host = Host(settings)
        await host.start()
        try:
            return await import_access_log(settings, file, Target("main", BASE), lambda size: None)
        finally:
            await host.stop()

    assert asyncio.run(main()).clicks == 40
    assert clicks(settings) == expected(40)


def test_two_imports_at_once_do_not_count_anything_twice(
    settings: Settings, tmp_path: Path
) -> None:
    file = written(tmp_path, log_of(40))

    async def main() -> None:
        host = Host(settings, with_gateway=False)
        await host.start()
        try:
            one = import_access_log(settings, file, Target("main", BASE), lambda size: None)
            other = into_platform(host.platform, file, Target("main", BASE), lambda size: None)
            results = await asyncio.gather(one, other, return_exceptions=True)
        finally:
            await host.stop()
        refused = [result for result in results if isinstance(result, ImportRunning)]
        (done,) = [result for result in results if isinstance(result, Imported)]
        assert (len(refused), done.clicks) == (1, 40)

    asyncio.run(main())
    assert clicks(settings) == expected(40)
    assert imported(settings, file).clicks == 0


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setattr("sixfold.commands.importing.configure", lambda: None)
    return Commands(tmp_path)


def test_the_command_prints_lines_clicks_and_malformed_lines(
    commands: Commands, tmp_path: Path
) -> None:
    file = written(tmp_path, log_of(20) + "[red]nonsense\n")
    printed = commands.run("import", "apache-log", str(file), "--base-url", f"{BASE}/")
    assert "21 lines read, 0 of them imported before" in printed
    assert "20 clicks and 7 links added; 1 malformed lines" in printed
    assert "line 21:" in printed
    again = commands.run("import", "apache-log", str(file), "--base-url", BASE, "--json")
    assert json.loads(again)["skipped_lines"] == 21
    assert json.loads(again)["clicks"] == 0


def test_what_cannot_be_read_is_said_and_makes_nothing(commands: Commands, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.log")
    refusal = commands.refused("import", "apache-log", missing, "--base-url", BASE)
    assert refusal == f"{missing} cannot be read: No such file or directory"
    assert not commands.data.exists()


def test_a_file_without_a_single_good_line_is_an_error(commands: Commands, tmp_path: Path) -> None:
    file = written(tmp_path, "nonsense\n" * 3)
    for arguments in ((), ("--json",), ()):
        refusal = commands.refused(
            "import", "apache-log", str(file), "--base-url", BASE, *arguments
        )
        assert refusal.startswith(f"no line of {file} is one of an access log")
    empty = written(tmp_path, "", "empty.log")
    assert "0 lines read" in commands.run("import", "apache-log", str(empty), "--base-url", BASE)


@pytest.mark.parametrize("base_url", ["javascript:alert(1)", "www.example", "https://a:b@c.de/"])
def test_links_of_an_import_lead_where_links_may_lead(
    commands: Commands, tmp_path: Path, base_url: str
) -> None:
    file = written(tmp_path, log_of(1))
    said = commands.misused("import", "apache-log", str(file), "--base-url", base_url)
    assert "--base-url" in said
    assert not commands.data.exists()


def test_a_tenant_that_can_be_none_is_refused(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.touch()
    arguments = (str(file), "--base-url", BASE, "--tenant", "Not A Tenant")
    said = commands.misused("import", "apache-log", *arguments)
    assert "--tenant" in said
    assert "small letters" in said
