"""Kill -9 of a gateway beside a host, while its clicks are spilled: what is in the file counts once."""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
from platform_process import PlatformProcess
from test_full_disk import TARGET, Clicking, counted, eventually, metric

from connectors.log.spillfile import SpillFile

CLICKS = 200
KILLS = 2


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class GatewayProcess:
    """`sixfold gateway` on the directory of a host, on a port of its own."""

    def __init__(self, host: PlatformProcess, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sixfold", "gateway"],
            cwd=host.directory,
            env=host.environment | {"SIXFOLD_GATEWAY_PORT": str(self.port)} | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def reasons(self) -> set[str] | None:
        """Why it is not ready; None if it does not answer yet."""
        assert self._process.poll() is None
        try:
            answer = httpx.get(f"{self.url}/health/ready", timeout=5.0)
        except httpx.TransportError:
            return None
        return set(answer.json().get("reasons", ()))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def gateway(host: PlatformProcess, **environment: str) -> Iterator[GatewayProcess]:
    process = GatewayProcess(host, environment)
    try:
        yield process
    finally:
        process.kill()


def killed_while_spilling(platform: PlatformProcess, key: str) -> int:
    """A gateway that cannot append is killed while it answers; how many clicks are in its file."""
    no_room = {"SIXFOLD_LOG_WATERMARK_MB": str(10**9)}
    with gateway(platform, **no_room) as refused:
        eventually(lambda: refused.reasons() == {"disk"})
        with Clicking(refused.port, key) as clicking:
            clicking.more(CLICKS)
            with httpx.Client(base_url=refused.url) as client:
                durable = metric(client, "sixfold_clicks_recorded_total")
            refused.kill()
    with closing(SpillFile(platform.directory / "data" / "spill" / "gateway-2", 1 << 30)) as file:
        # One more may have been on its way to the visitor.
        assert 0 < durable <= file.pending <= clicking.answered + 1
        return file.pending


def test_what_a_killed_gateway_has_spilled_is_drained_by_the_next_however_often_that_is_killed(
    platform: PlatformProcess,
) -> None:
    with platform.client() as client:
        key = client.post("/api/v1/urls", json=TARGET).json()["key"]
        spilled = killed_while_spilling(platform, key)
        for _ in range(KILLS):
            with gateway(platform) as killed:
                eventually(lambda: killed.reasons() is not None)
                time.sleep(random.uniform(0, 0.05))
                killed.kill()
        with gateway(platform) as last:
            eventually(lambda: last.reasons() == set())
            eventually(lambda: counted(client, key) == spilled)
            platform.settled()
            assert counted(client, key) == spilled


def test_what_a_killed_gateway_has_spilled_is_drained_by_the_host_if_no_other_gateway_comes(
    platform: PlatformProcess,
) -> None:
    with platform.client() as client:
        key = client.post("/api/v1/urls", json=TARGET).json()["key"]
    spilled = killed_while_spilling(platform, key)
    platform.kill()
    platform.start()
    with platform.client() as client:
        eventually(lambda: counted(client, key) == spilled)
        platform.settled()
        assert counted(client, key) == spilled
