"""Load over HTTP: as much as is answered (closed loop), or so many requests a second (open loop)."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import NamedTuple, TypeVar, cast

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
CONNECTIONS = 64

_TICK_S = 0.001
_ANSWERS_TIMEOUT_S = 10.0


class Saturated(NamedTuple):
    """What became of a closed loop: every request was answered."""

    requests: int
    per_s: float


async def saturate(port: int, keys: Sequence[str], duration_s: float) -> Saturated:
    """Ask over 64 connections, each again as soon as it is answered.

    Raises:
        RuntimeError: an answer is no redirect.
        TimeoutError: answers are missing.
    """
    requests = cycle(_requests(port, keys))
    loop = asyncio.get_running_loop()
    until_s = loop.time() + duration_s
    clients = await _connect(port, lambda: _Closed(requests, until_s))
    start_s = time.perf_counter()
    for client in clients:
        client.ask()
    await asyncio.sleep(duration_s)
    await _finish(clients)
    answered = sum(client.answered for client in clients)
    return Saturated(answered, answered / (time.perf_counter() - start_s))


async def pace(port: int, keys: Sequence[str], per_s: float, duration_s: float) -> list[float]:
    """Seconds from when each request was to be sent until its answer; late sending counts too.

    Raises:
        RuntimeError: an answer is no redirect.
        TimeoutError: answers are missing.
    """
    requests = _requests(port, keys)
    clients = await _connect(port, _Open)
    start_s, sent, total = time.perf_counter(), 0, int(per_s * duration_s)
    while sent < total:
        due = min(total, int((time.perf_counter() - start_s) * per_s) + 1)
        for n in range(sent, due):
            clients[n % CONNECTIONS].ask(requests[n % len(requests)], start_s + n / per_s)
        sent = due
        await asyncio.sleep(_TICK_S)
    await _finish(clients)
    return [latency_s for client in clients for latency_s in client.latencies_s]


class _Client(asyncio.Protocol, ABC):
    """One connection; answers come in the order of the requests."""

    def __init__(self) -> None:
        self.answered = 0
        self.wrong = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    @property
    @abstractmethod
    def is_waiting(self) -> bool:
        """Whether an answer is due."""


class _Closed(_Client):
    """Asks again when it is answered; an answer is read at once, so it is one segment."""

    is_waiting = False

    def __init__(self, requests: Iterator[bytes], until_s: float) -> None:
        super().__init__()
        self._requests = requests
        self._until_s = until_s
        self._time = asyncio.get_running_loop().time

    def ask(self) -> None:
        self.is_waiting = self._time() < self._until_s
        if self.is_waiting:
            self.transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self.answered += 1
        if not (data.startswith(b"HTTP/1.1 302") and data.endswith(b"\r\n\r\n")):
            self.wrong += 1
        self.ask()


class _Open(_Client):
    """Asks when it is told, and measures how long the answers take."""

    def __init__(self) -> None:
        super().__init__()
        self._asked_s: deque[float] = deque()
        self.latencies_s: list[float] = []
        self._rest = b""

    @property
    def is_waiting(self) -> bool:
        return bool(self._asked_s)

    def ask(self, request: bytes, intended_s: float) -> None:
        self._asked_s.append(intended_s)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            self.answered += 1
            self.latencies_s.append(now_s - self._asked_s.popleft())
            self.wrong += not head.startswith(b"HTTP/1.1 302")


_C = TypeVar("_C", bound=_Client)


async def _connect(port: int, client: Callable[[], _C]) -> list[_C]:
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(client, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)
    ]


async def _finish(clients: Sequence[_Client]) -> None:
    """Wait for the answers that are due, and hang up."""
    async with asyncio.timeout(_ANSWERS_TIMEOUT_S):
        while any(client.is_waiting for client in clients):
            await asyncio.sleep(_TICK_S)
    for client in clients:
        client.transport.close()
    wrong = sum(client.wrong for client in clients)
    if wrong:
        raise RuntimeError(f"{wrong:,} answers are no redirects")


def _requests(port: int, keys: Sequence[str]) -> list[bytes]:
    return [
        f"GET /{key} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {USER_AGENT}\r\n\r\n".encode()
        for key in keys
    ]
