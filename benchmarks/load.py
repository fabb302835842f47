"""Load over HTTP: as much as is answered (wrk), or so many requests a second (open loop)."""

import asyncio
import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
CONNECTIONS = 64

_TICK_S = 0.001
_ANSWERS_TIMEOUT_S = 10.0
_SCRIPT = """local keys = {%s}
local n = 0
request = function()
  n = n %% #keys + 1
  return wrk.format("GET", "/" .. keys[n])
end
"""


class Saturated(NamedTuple):
    """What wrk says of one run."""

    requests: int
    per_s: float


def write_script(file: Path, keys: Sequence[str]) -> None:
    """Write the script that makes wrk go round the keys."""
    file.write_text(_SCRIPT % ", ".join(f'"{key}"' for key in keys))


def saturate(port: int, script: Path, core: int, duration_s: int) -> Saturated:
    """Ask over 64 connections, each again as soon as it is answered.

    Raises:
        RuntimeError: wrk is not installed, or an answer was missing or an error.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("this benchmark needs wrk: install the Debian package `wrk`")
    command = ["taskset", "-c", str(core), wrk, "-t1", f"-c{CONNECTIONS}", f"-d{duration_s}s"]
    command += ["-s", str(script), "-H", f"User-Agent: {USER_AGENT}", f"http://127.0.0.1:{port}/"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests = re.search(r"(\d+) requests in", told)
    per_s = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if "Non-2xx" in told or "Socket errors" in told or requests is None or per_s is None:
        raise RuntimeError(f"not every request was answered:\n{told}")
    return Saturated(int(requests[1]), float(per_s[1]))


async def pace(port: int, keys: Sequence[str], per_s: float, duration_s: float) -> list[float]:
    """Seconds from when each request was to be sent until its answer; late sending counts too.

    Raises:
        RuntimeError: an answer is no redirect.
        TimeoutError: answers are missing.
    """
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(_Client, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)
    ]
    requests = [
        f"GET /{key} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {USER_AGENT}\r\n\r\n".encode()
        for key in keys
    ]
    start_s, sent, total = time.perf_counter(), 0, int(per_s * duration_s)
    while sent < total:
        due = min(total, int((time.perf_counter() - start_s) * per_s) + 1)
        for n in range(sent, due):
            clients[n % CONNECTIONS].ask(requests[n % len(requests)], start_s + n / per_s)
        sent = due
        await asyncio.sleep(_TICK_S)
    async with asyncio.timeout(_ANSWERS_TIMEOUT_S):
        while any(client.asked_s for client in clients):
            await asyncio.sleep(_TICK_S)
    for client in clients:
        client.transport.close()
    wrong = sum(client.wrong for client in clients)
    if wrong:
        raise RuntimeError(f"{wrong:,} answers are no redirects")
    return [latency_s for client in clients for latency_s in client.latencies_s]


class _Client(asyncio.Protocol):
    """One connection; answers come in the order of the requests."""

    def __init__(self) -> None:
        self.asked_s: deque[float] = deque()
        self.latencies_s: list[float] = []
        self.wrong = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, intended_s: float) -> None:
        self.asked_s.append(intended_s)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            self.latencies_s.append(now_s - self.asked_s.popleft())
            self.wrong += not head.startswith(b"HTTP/1.1 302")
