"""WebSocket connections, spoken by picows, that the front has handed over."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from picows import WSAutoPingStrategy, WSCloseCode
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its stubs

_HANDSHAKE_TIMEOUT_S = 5
_READ_BUFFER_BYTES = 4096

# picows logs every connection with its address at INFO; addresses are not for logs.
_logger = logging.getLogger("sixfold.gateway.sockets")
_logger.setLevel(logging.WARNING)


class Socket(WSProtocol):  # type: ignore[misc]  # untyped base
    """One WebSocket, from the handshake on.

    Pings are left to the listener: protocols above WebSocket bring their own.
    """

    def __init__(
        self, listen: Callable[..., Any], open_sockets: "set[Socket]", max_frame_bytes: int
    ) -> None:
        super().__init__(
            None,  # host and path are those of clients
            None,
            False,
            listen,
            _logger,
            True,  # disconnect when a listener raises
            _HANDSHAKE_TIMEOUT_S,
            False,  # no pings of its own: idle time-out, reply time-out and strategy are moot
            _HANDSHAKE_TIMEOUT_S,
            _HANDSHAKE_TIMEOUT_S,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,  # answer pings
            max_frame_bytes,
            None,
            _READ_BUFFER_BYTES,
        )
        self._open_sockets = open_sockets

    def take_over(self, transport: asyncio.Transport, received: bytes) -> None:
        """Go on with a connection, beginning with what another protocol has received from it."""
        transport.pause_reading()  # uvloop asks how a protocol reads only when reading starts
        transport.set_protocol(self)
        self.connection_made(transport)
        self._open_sockets.add(self)
        while received and not transport.is_closing():
            buffer = self.get_buffer(-1)
            size_bytes = min(len(buffer), len(received))
            buffer[:size_bytes] = received[:size_bytes]
            received = received[size_bytes:]
            self.buffer_updated(size_bytes)
        transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._open_sockets.discard(self)
        super().connection_lost(exc)

    def close(self, code: WSCloseCode) -> None:
        """Send a close frame and hang up."""
        if self.listener is not None:  # the handshake is through
            self.transport.send_close(code)
        self.transport.disconnect()
