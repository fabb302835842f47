"""The gateway's HTTP server as a service: uvicorn on the loop that is running already."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from connectors.gateway.dates import DateLine
from connectors.gateway.front import Front


class Server:
    """An HTTP server that is started and stopped with the rest of the process."""

    def __init__(self, app: Any, front: Front, date: DateLine | None = None) -> None:
        """Configure the server.

        Args:
            app: the ASGI app for what the front does not answer itself.
            date: kept up to date while the server runs.
        """
        self._settings = front.settings
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            http=front.protocol,  # type: ignore[arg-type]  # a factory does as well as a class
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # uvicorn would believe X-Forwarded-For of anybody on this machine
            server_header=False,
            timeout_graceful_shutdown=int(front.settings.drain_timeout_s),
        )
        self._server = _Uvicorn(config, front, date or DateLine(time.time()))

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it is not started.
        """
        if self._socket is None:
            raise RuntimeError("the server is not started")
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Bind, and return when requests are taken.

        Raises:
            OSError: the address cannot be bound.
        """
        self._socket = _bind(self._settings.host, self._settings.port, self._settings.reuse_port)
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="gateway")
        started = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            started.cancel()
            await self._task

    async def stop(self) -> None:
        """Take no more connections, let requests in flight finish, and close the rest."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = self._socket = None


class _Uvicorn(uvicorn.Server):
    """Uvicorn without what a part of a larger process may not do."""

    def __init__(self, config: uvicorn.Config, front: Front, date: DateLine) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._front = front
        self._date = date

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.listening.set()

    async def on_tick(self, counter: int) -> bool:
        """Keep the time, ten times a second."""
        self._date.refresh(time.time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what uvicorn knows of, and the WebSockets."""
        self._front.close_sockets()
        await super().shutdown(sockets)


def _bind(host: str, port: int, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, reuse_port=reuse_port)
    bound.setblocking(False)
    return bound
