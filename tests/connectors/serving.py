"""A real gateway server on an ephemeral loopback port, and a client that says what bytes it is told."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import uvloop

from connectors.gateway.dates import DateLine
from connectors.gateway.front import Front, never_hot
from connectors.gateway.server import Server
from connectors.gateway.settings import GatewaySettings


class Loop:
    """A uvloop in a thread of its own."""

    def __init__(self):
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine):
        """Run a coroutine there, and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=20)

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=20)
        self._loop.close()


class Serving(NamedTuple):
    port: int
    loop: Loop
    server: Server
    date: DateLine


@contextmanager
def serving(app, *, hot=never_hot, sockets=None, **settings: Any) -> Iterator[Serving]:
    loop = Loop()
    date = DateLine(0)

    async def make() -> Server:
        front = Front(GatewaySettings(**{"port": 0} | settings), hot, sockets)
        server = Server(app, front, date)
        await server.start()
        return server

    try:
        server = loop.run(make())
        try:
            yield Serving(server.port, loop, server, date)
        finally:
            loop.run(server.stop())
    finally:
        loop.close()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A TCP connection."""

    def __init__(self, port: int, receive_buffer_bytes: int | None = None):
        self._socket = socket.socket()
        if receive_buffer_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.settimeout(10)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self._received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, *parts: bytes) -> "Wire":
        for part in parts:
            self._socket.sendall(part)
        return self

    def send_all_it_takes(self, data: bytes) -> int:
        """Send until the other side takes no more for half a second; how much that was."""
        self._socket.settimeout(0.5)
        sent = 0
        try:
            while sent < len(data):
                sent += self._socket.send(data[sent : sent + 65536])
        except TimeoutError:
            pass
        self._socket.settimeout(10)
        return sent

    def read(self, size_bytes: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._received) < size_bytes:
            self._receive()
        taken, self._received = self._received[:size_bytes], self._received[size_bytes:]
        return taken

    def answer(self, to_head: bool = False) -> Answer:
        """The next HTTP response."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while size_bytes := int(self._line(), 16):
                body += self.read(size_bytes + 2)[:-2]
            self._line()
        elif not to_head:
            body = self.read(int(headers.get("content-length", 0)))
        return Answer(int(status.split()[1]), headers, body)

    def is_closed(self) -> bool:
        """Wait for the other side to hang up; False if it says something instead."""
        try:
            return not self._received and not self._socket.recv(1)
        except ConnectionResetError:
            return True

    def is_silent(self, seconds: float) -> bool:
        """Whether the other side neither says anything nor hangs up for some time."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(10)
        return False

    def _line(self) -> bytes:
        while b"\r\n" not in self._received:
            self._receive()
        line, _, self._received = self._received.partition(b"\r\n")
        return line

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError(f"hung up after {self._received!r}")
        self._received += data
