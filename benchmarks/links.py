"""Redirects, with their clicks logged, beside a bare server that answers a constant redirect.

Two cores: the server under test, ours or the bare one, has core 0; the load generator has core 1,
and so has the host, whose agents count the clicks meanwhile. So the gateway's threads that append
clicks share its one core, and a generator that the host holds up makes both servers look slower.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx
import uvloop

from benchmarks import link_processes
from benchmarks.figures import percentile
from benchmarks.link_processes import process
from benchmarks.load import Saturated, pace, saturate
from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import applied_offset
from schemas.links import CLICKS
from sixfold.first_start import ADMIN_KEY_FILE
from sixfold.settings import GatewaySection, LinksSection, Settings, VaultSection

LINKS = 100
ROUNDS = 3
ROUND_S = 3.0
PACED_S = 4.0

_SERVER_CORE = 0
_LOAD_CORE = 1
_TIMEOUT_S = 30.0
_COUNTING = "links-stats"  # the fold that counts clicks


def run(directory: Path) -> dict[str, float]:
    """Saturate both servers by turns, then ask both at a quarter of what the bare one can.

    Before the bare server's turn the host counts what is left of ours, so that it does not hold up
    the generator then. `clicks_lost` is redirects answered less clicks in the log once the gateway
    has stopped.
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_LOAD_CORE})
    try:
        return _run(directory)
    finally:
        os.sched_setaffinity(0, cores)


def _run(directory: Path) -> dict[str, float]:
    settings = Settings(
        data=directory / "data",
        vault=VaultSection(master_key=str(directory / "master.key")),
        gateway=GatewaySection(port=_free_port()),
        links=LinksSection(allow_private=True),
    )
    port, bare_port = settings.gateway.port, _free_port()
    with process(link_processes.host, _LOAD_CORE, settings):
        _wait((settings.data / ADMIN_KEY_FILE).exists)
        with process(link_processes.gateway, _SERVER_CORE, settings):
            startup_s = _wait(lambda: _answers(port, "/health/ready", 200))
            keys = _make_links(settings)
            with process(link_processes.bare, _SERVER_CORE, bare_port):
                _wait(lambda: _answers(bare_port, "/", 302))
                for key in keys:
                    assert _answers(port, f"/{key}", 302)
                ours, bare = _by_turns(settings, bare_port, keys)
                bare_per_s = median(one.per_s for one in bare)
                bare_latencies_s = uvloop.run(pace(bare_port, keys, bare_per_s / 4, PACED_S))
                latencies_s = uvloop.run(pace(port, keys, bare_per_s / 4, PACED_S))
        answered = LINKS + sum(one.requests for one in ours) + len(latencies_s)
        logged = _clicks(settings)
    return {
        "redirect_vs_bare": median(a.per_s / b.per_s for a, b in zip(ours, bare, strict=True)),
        "redirects_per_s": median(one.per_s for one in ours),
        "bare_per_s": bare_per_s,
        "redirect_p99_ms": percentile(latencies_s, 0.99) * 1e3,
        "bare_p99_ms": percentile(bare_latencies_s, 0.99) * 1e3,
        "startup_s": startup_s,
        "clicks_lost": answered - logged,
    }


def _by_turns(
    settings: Settings, bare_port: int, keys: list[str]
) -> tuple[list[Saturated], list[Saturated]]:
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(uvloop.run(saturate(settings.gateway.port, keys, ROUND_S)))
        _wait_until_counted(settings)
        bare.append(uvloop.run(saturate(bare_port, keys, ROUND_S)))
    return ours, bare


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait(condition: Callable[[], bool]) -> float:
    """Seconds until a condition holds."""
    start_s = time.perf_counter()
    while not condition():
        if time.perf_counter() - start_s > _TIMEOUT_S:
            raise TimeoutError("a process of the benchmark is stuck; see its output above")
        time.sleep(0.01)
    return time.perf_counter() - start_s


def _answers(port: int, path: str, status: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code == status
    except httpx.TransportError:
        return False


def _make_links(settings: Settings) -> list[str]:
    key = (settings.data / ADMIN_KEY_FILE).read_text().strip()
    keys = []
    with httpx.Client(
        base_url=f"http://127.0.0.1:{settings.gateway.port}",
        headers={"Authorization": f"Bearer {key}"},
        timeout=30.0,
    ) as client:
        for n in range(LINKS):
            target = f"http://127.0.0.1:9/pages/{n}"  # the discard port: nothing is fetched
            answer = client.post("/api/v1/urls", json={"long_url": target})
            answer.raise_for_status()
            keys.append(answer.json()["key"])
    return keys


def _clicks(settings: Settings) -> int:
    log = SqliteLog(settings.log_file)
    try:
        return sum(log.bounds(CLICKS.name, n)[1] for n in range(CLICKS.partitions))
    finally:
        log.close()


def _wait_until_counted(settings: Settings) -> None:
    log = SqliteLog(settings.log_file)
    try:
        for n in range(CLICKS.partitions):
            _wait(
                lambda n=n: (  # type: ignore[misc]
                    applied_offset(log, _COUNTING, CLICKS.name, n) >= log.bounds(CLICKS.name, n)[1]
                )
            )
    finally:
        log.close()
