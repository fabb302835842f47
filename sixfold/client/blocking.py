"""The client for everybody else: the asyncio client on a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sixfold.client.asynchronous import AsyncClient, Options, Receipt
from sixfold.client.errors import Rejected, Undelivered

T = TypeVar("T")


class Client:
    """Sends events to a gateway from any thread; see `AsyncClient`."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        spill: Path | None = None,
        on_rejected: Callable[[Rejected], None] | None = None,
        options: Options | None = None,
    ) -> None:
        """Start; use it as a context manager, or `close` it. The arguments are `AsyncClient`'s."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="sixfold-client", daemon=True
        )
        self._thread.start()

        async def start() -> AsyncClient:
            return await AsyncClient(
                url, api_key, spill=spill, on_rejected=on_rejected, options=options
            ).__aenter__()

        try:
            self._client = self._run(start())
        except BaseException:
            self._end()
            raise

    def send(
        self,
        type: str,
        data: Mapping[str, Any],
        *,
        time: datetime | None = None,
        id: str | None = None,
    ) -> str:
        """Queue an event; its id. See `AsyncClient.send`."""
        return self._run(self._client.send(type, data, time=time, id=id))

    def append(
        self,
        type: str,
        data: Mapping[str, Any],
        *,
        time: datetime | None = None,
        id: str | None = None,
    ) -> Receipt:
        """Send an event and wait until it is durable in the log. See `AsyncClient.append`."""
        return self._run(self._client.append(type, data, time=time, id=id))

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything taken so far is delivered or refused. See `AsyncClient.flush`."""
        self._run(self._client.flush(timeout_s))

    def close(self) -> None:
        """Deliver what is left, or leave it to the spill. See `AsyncClient.close`."""
        if self._loop.is_closed():
            return
        try:
            self._run(self._client.close())
        finally:
            self._end()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise Undelivered("the client is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
