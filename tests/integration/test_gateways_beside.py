"""Gateways and jobs in processes of their own, beside the host: any of them may die at any moment."""

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from platform_process import PlatformProcess
from test_kill import BROWSER, WORK_S, Crowd, check


@pytest.fixture
def host(platform: PlatformProcess) -> PlatformProcess:
    return platform


@pytest.fixture
def gateway(host: PlatformProcess) -> Iterator[PlatformProcess]:
    """A gateway that listens where the host does."""
    process = PlatformProcess(host.directory, "gateway", host.port)
    yield process
    process.close()


def follow(port: int, key: str) -> int | None:
    """The status of a short link; None if nobody is there."""
    with contextlib.suppress(httpx.TransportError):
        url = f"http://127.0.0.1:{port}/{key}"
        return httpx.get(url, headers={"User-Agent": BROWSER}).status_code
    return None


def test_a_gateway_beside_the_host_serves_the_same_port_and_goes_on_without_it(
    host: PlatformProcess, gateway: PlatformProcess, tmp_path: Path
) -> None:
    with host.client() as client:
        key = client.post("/api/v1/urls", json={"long_url": "http://127.0.0.1:9/"}).json()["key"]
    gateway.start()
    host.kill()
    deadline = time.monotonic() + 30
    while follow(host.port, key) != 302:  # as soon as the gateway is up, too
        assert time.monotonic() < deadline, gateway.output()
        time.sleep(0.05)
    clicks = 1 + sum(follow(host.port, key) == 302 for _ in range(20))
    assert clicks == 21
    # Another data directory is kept from joining the port.
    (tmp_path / "other").mkdir()
    stranger = PlatformProcess(tmp_path / "other", "up", host.port)
    assert "choose another gateway.port" in " ".join(stranger.refused("up").split())
    stranger.close()
    # The host comes back beside its gateway, and has counted everything.
    host.start()
    host.settled()
    with host.client() as client:
        assert client.get(f"/api/v1/urls/{key}/stats").json()["clicks"] == clicks
    assert gateway.stop() == host.stop() == 0


class Archiving:
    """Archives again and again, in a process that is killed now and then."""

    def __init__(self, platform: PlatformProcess) -> None:
        self._platform = platform
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.runs = 0

    def __enter__(self) -> "Archiving":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        command = [sys.executable, "-m", "sixfold", "batch", "run", "archive"]
        while not self._stopping.is_set():
            with subprocess.Popen(
                command,
                cwd=self._platform.directory,
                env=self._platform.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(random.uniform(1, 4))
                process.kill()
            self.runs += 1


def kill_often(host: PlatformProcess, times: int) -> None:
    gateway = PlatformProcess(host.directory, "gateway")  # on a port of its own
    with contextlib.closing(gateway), Archiving(host) as archiving:
        gateway.start()
        crowds = {gateway: Crowd(), host: Crowd()}
        for n in range(times):
            threads = [
                threading.Thread(target=crowd.work, args=[process])
                for process, crowd in crowds.items()
            ]
            for thread in threads:
                thread.start()
            at_work(*crowds.values())
            time.sleep(random.uniform(*WORK_S))
            # The host first: without it a gateway may lack what it needs to be ready.
            victims = [[host, gateway], [gateway], [host]][n % 3]
            for process in victims:
                process.kill()
            for crowd in crowds.values():
                crowd.stopping.set()
            for thread in threads:
                thread.join()
            for process in victims:
                process.start()
            for crowd in crowds.values():
                crowd.stopping.clear()
        assert gateway.stop() == 0
    assert archiving.runs > 0
    check(host, together(*crowds.values()))
    everything_is_archived_once(host)
    assert host.stop() == 0


def at_work(*crowds: Crowd) -> None:
    """Wait until each crowd has made a link and followed it, however busy the machine is."""
    deadline = time.monotonic() + 30
    while not all(crowd.answered for crowd in crowds):
        assert time.monotonic() < deadline, "nobody answers"
        time.sleep(0.01)


def together(*crowds: Crowd) -> Crowd:
    """What several crowds were told, and what they asked."""
    whole = Crowd()
    for crowd in crowds:
        whole.links |= crowd.links
        for key, times in crowd.asked.items():
            whole.asked[key] = whole.asked.get(key, 0) + times
    return whole


def everything_is_archived_once(host: PlatformProcess) -> None:
    """The lake has each event of the log that clients have caused, once, and nothing else."""
    counted = (
        "SELECT topic, count(*) AS rows, count(DISTINCT id) AS events FROM events "
        "WHERE topic IN ('links', 'clicks') GROUP BY topic ORDER BY topic"
    )

    def count() -> list[dict[str, int]]:
        return [json.loads(line) for line in host.run("sql", counted, "-f", "json").splitlines()]

    before = count()
    host.run("batch", "run", "archive")
    assert count() == before
    assert len(before) == 2
    assert all(topic["rows"] == topic["events"] for topic in before)


def test_kills_of_host_gateway_and_archive_lose_and_repeat_nothing(host: PlatformProcess) -> None:
    kill_often(host, 1)


@pytest.mark.soak
def test_many_kills_of_host_gateway_and_archive_do_neither(host: PlatformProcess) -> None:
    kill_often(host, 30)
