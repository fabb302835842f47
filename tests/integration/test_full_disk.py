"""The log's disk fills up: redirects go on, nothing else is taken, and no click is lost or doubled."""

import asyncio
import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from platform_process import PlatformProcess

from connectors.log import room
from sixfold.first_start import ADMIN_KEY_FILE
from sixfold.host import Host
from sixfold.settings import GatewaySection, LinksSection, LogSection, Settings, VaultSection

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}
TARGET = {"long_url": "http://127.0.0.1:9/"}


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "this has not come about in time"
        time.sleep(0.02)


class Clicking:
    """Follows a link without a pause, and counts the redirects that were answered."""

    def __init__(self, port: int, key: str) -> None:
        self.answered = 0
        self.wrong: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[f"http://127.0.0.1:{port}", key])

    def _run(self, url: str, key: str) -> None:
        # A gateway that is killed answers nothing any more.
        with (
            suppress(httpx.TransportError),
            httpx.Client(base_url=url, headers=BROWSER, timeout=30) as client,
        ):
            while not self._stop.is_set():
                status = client.get(f"/{key}").status_code
                if status == httpx.codes.FOUND:
                    self.answered += 1
                else:
                    self.wrong.append(status)

    def more(self, clicks: int) -> None:
        """Wait until so many more were answered."""
        enough = self.answered + clicks
        eventually(lambda: self.answered >= enough)

    def __enter__(self) -> "Clicking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


def refused(client: httpx.Client) -> bool:
    """Whether links cannot be made, and the answer says so as it should."""
    answer = client.post("/api/v1/urls", json=TARGET)
    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    return "disk is nearly full" in answer.json()["detail"]


def made(client: httpx.Client) -> bool:
    return client.post("/api/v1/urls", json=TARGET).status_code == httpx.codes.CREATED


def counted(client: httpx.Client, key: str) -> int:
    clicks: int = client.get(f"/api/v1/urls/{key}/stats").json()["clicks"]
    return clicks


def lost(client: httpx.Client) -> float:
    return metric(client, "sixfold_clicks_lost_total")


def recorded(client: httpx.Client) -> float:
    return metric(client, "sixfold_clicks_recorded_total")


# On file systems that are really full


@contextmanager
def small_disk(directory: Path, size_mb: int) -> Iterator[None]:
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PlatformProcess]:
    """A platform with 64 MB for its data, and 2 MB for its spill."""
    with ExitStack() as opened:
        opened.enter_context(small_disk(tmp_path / "data", 64))
        opened.enter_context(small_disk(tmp_path / "spill", 2))
        process = PlatformProcess(tmp_path)
        process.environment["SIXFOLD_LOG_WATERMARK_MB"] = "16"
        process.environment["SIXFOLD_LOG_SPILL"] = str(tmp_path / "spill")
        opened.callback(process.close)
        process.start()
        yield process


def fill(directory: Path) -> Path:
    """Leave no byte free; the file that must go to have room again."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size_bytes in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size_bytes))
            except OSError as error:
                assert error.errno == 28, error
    return ballast


def check_files(data: Path) -> None:
    for path in (data / "log.db", *(data / "vault").glob("*.db")):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path


@pytest.mark.parametrize("full", [["data"], ["data", "spill"]], ids=["log", "log and spill"])
def test_a_full_disk_stops_writes_but_no_redirect_and_loses_no_click(
    platform: PlatformProcess, full: list[str]
) -> None:
    with platform.client() as client:
        key = client.post("/api/v1/urls", json=TARGET).json()["key"]
        with Clicking(platform.port, key) as clicking:
            clicking.more(50)
            ballast = [fill(platform.directory / name) for name in full]
            clicking.more(200)
            eventually(lambda: refused(client))
            answer = client.get("/health/ready")
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert "disk" in answer.json()["reasons"]
            assert metric(client, "sixfold_log_free_bytes") < 16 << 20
            clicking.more(500)
            assert client.get(f"/api/v1/urls/{key}").status_code == httpx.codes.OK
            for file in ballast:
                file.unlink()
            eventually(lambda: made(client))
            clicking.more(50)
        assert clicking.wrong == []
        eventually(lambda: recorded(client) == clicking.answered)
        eventually(lambda: metric(client, "sixfold_spill_pending_events") == 0)
        eventually(lambda: counted(client, key) == clicking.answered)
        assert client.get("/health/ready").status_code == httpx.codes.OK
        assert lost(client) == 0
    sql = f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM clicks WHERE link = '{key}'"
    row = json.loads(platform.run("sql", sql, "--format", "json"))
    assert row == {"n": clicking.answered, "ids": clicking.answered}
    assert platform.stop() == 0
    check_files(platform.directory / "data")


# With a disk that only says that it is full


def limit_pages(host: Host, pages: int) -> None:
    """Others in the same transaction may fail by it."""
    host.platform.log.write((), lambda c: c.execute(f"PRAGMA max_page_count={pages}")).exception(10)


@contextmanager
def full_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file of the log cannot grow, and its disk has nothing left."""
    limit_pages(host, 1)
    with monkeypatch.context() as patched:
        patched.setattr(room.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
        yield
    limit_pages(host, 1_000_000)


def fill_and_free(host: Host, api_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.gateway is not None
    with httpx.Client(
        base_url=f"http://127.0.0.1:{host.gateway.port}",
        headers={"Authorization": f"Bearer {api_key}"},
        timeout=30,
    ) as client:
        key = client.post("/api/v1/urls", json=TARGET).json()["key"]
        recorded_before, lost_before = recorded(client), lost(client)
        with Clicking(host.gateway.port, key) as clicking:
            clicking.more(50)
            with full_disk(host, monkeypatch):
                eventually(lambda: refused(client))
                clicking.more(300)
                eventually(lambda: metric(client, "sixfold_spill_pending_events") > 0)
            eventually(lambda: made(client))
        assert clicking.wrong == []
        eventually(lambda: recorded(client) - recorded_before == clicking.answered)
        eventually(lambda: counted(client, key) == clicking.answered)
        assert lost(client) == lost_before


def test_a_disk_that_says_that_it_is_full_is_dealt_with_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = tmp_path / "elsewhere" / "spill"
    settings = Settings(
        data=tmp_path / "data",
        log=LogSection(spill=str(spill)),
        vault=VaultSection(master_key=str(tmp_path / "master.key")),
        gateway=GatewaySection(port=0),
        links=LinksSection(allow_private=True),
    )

    async def run() -> None:
        host = Host(settings)
        await host.start()
        try:
            api_key = (settings.data / ADMIN_KEY_FILE).read_text().strip()
            await asyncio.to_thread(fill_and_free, host, api_key, monkeypatch)
        finally:
            await host.stop()

    uvloop.run(run())
    assert [file.name for file in spill.iterdir()] == ["gateway-1"]
