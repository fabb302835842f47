"""The front: an HTTP protocol that answers hot requests itself.

A GET that `hot` knows the answer to is answered in the callback of the parser, without a task; an
upgrade to a WebSocket that `sockets` has a listener for is handed to picows. Everything else goes
to the ASGI app, as uvicorn does it; so every hot route must exist in the app too: HEAD and requests
that come in while the app is still busy with an earlier one are never hot.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httptools
import structlog
from picows import WSCloseCode, WSListener, WSUpgradeRequest
from picows.common import WSUpgradeResponseWithListener
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from connectors.gateway.problems import Problem
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.sockets import Socket

Headers = list[tuple[bytes, bytes]]

# From a request's path with its query, its headers (names in lower case) and the peer's address to
# the whole response, or None: the app shall answer.
Hot = Callable[[bytes, Headers, str], bytes | None]

Listen = Callable[[WSUpgradeRequest], WSListener | WSUpgradeResponseWithListener | None]

logger = structlog.get_logger(__name__)


def never_hot(path: bytes, headers: Headers, peer: str) -> bytes | None:
    """Leave every request to the app."""
    return None


class Front:
    """What the connections of one gateway share."""

    def __init__(
        self,
        settings: GatewaySettings,
        hot: Hot = never_hot,
        sockets: Mapping[bytes, Listen] | None = None,
    ) -> None:
        """Configure the front.

        Args:
            sockets: what listens to WebSockets, by path.
        """
        self.settings = settings
        self.hot = hot
        self.sockets = sockets or {}
        self.open_sockets: set[Socket] = set()

    def protocol(self, **uvicorn: Any) -> "FrontProtocol":
        """The protocol of a new connection, made by uvicorn."""
        return FrontProtocol(self, **uvicorn)

    def close_sockets(self) -> None:
        """Tell every WebSocket that we are going away."""
        for socket in tuple(self.open_sockets):
            socket.close(WSCloseCode.GOING_AWAY)


class FrontProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, front: Front, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._front = front
        self._hot = front.hot
        self._max_url_bytes = front.settings.max_url_bytes
        self._max_head_bytes = front.settings.max_head_bytes
        self._idle_timeout_s = front.settings.idle_timeout_s
        self._peer = ""
        self._idle_timer: asyncio.TimerHandle | None = None
        self._heard_s = 0.0
        self._segment_bytes = 0
        self._earlier_bytes = 0  # of the current head, in earlier segments
        self._in_head = False
        self._answer: bytes | None = None
        self._upgrading = False
        self._last = False  # nothing after the current request will be answered
        self._ignoring = False  # the current request is after the last one

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        self._heard_s = self.loop.time()
        self._idle_timer = self.loop.call_later(self._idle_timeout_s, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give everything up."""
        self._stop_idle_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the methods below."""
        self._segment_bytes = len(data)
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                if self._upgrading:
                    self._hand_over(bytes(rest))
                    return
            except httptools.HttpParserError as error:
                self._refuse(_reason(error))
                return
        if self._in_head:
            self._earlier_bytes += len(data)
            if self._earlier_bytes > self._max_head_bytes:
                self._refuse(_long_head())
        if self.flow.write_paused:  # the client does not read its answers, so it gets no more
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made only if the app shall answer it."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._earlier_bytes = -self._segment_bytes  # which data_received adds when it is through
        self._ignoring = self._last
        self._upgrading = False
        self._heard_s = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        super().on_url(url)
        if len(self.url) > self._max_url_bytes:
            raise _long_url()

    def on_headers_complete(self) -> None:
        """Decide who answers."""
        self._in_head = False
        if self._ignoring:
            return
        self._check_head()
        parser = self.parser
        self._last = not parser.should_keep_alive() or parser.get_http_version() == "1.0"
        if (
            parser.get_method() == b"GET"
            and self._is_free()
            and not self.expect_100_continue  # who waits for it would wait in vain
        ):
            if parser.should_upgrade() and self._is_for_a_socket():
                self._upgrading = True
                return
            self._answer = self._hot(self.url, self.headers, self._peer)
            if self._answer is not None:
                return
        self._to_app()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; a hot request has none that matters."""
        self._heard_s = self.loop.time()
        if self._answer is None and not self._ignoring:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer, if the request is hot."""
        if self._answer is not None:
            self.transport.write(self._answer)
            self._answer = None
            if self._last:
                self.transport.close()
        elif not self._ignoring:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # _close_if_idle does that
        self._heard_s = self.loop.time()

    def pause_writing(self) -> None:
        """Take no more requests until the client has read the answers it has."""
        super().pause_writing()
        self.flow.pause_reading()
        self._heard_s = self.loop.time()

    def resume_writing(self) -> None:
        """Take requests again."""
        super().resume_writing()
        self.flow.resume_reading()
        self._heard_s = self.loop.time()

    def _is_free(self) -> bool:
        """Whether no earlier request is still to be answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _should_upgrade(self) -> bool:
        return self._upgrading

    def _is_for_a_socket(self) -> bool:
        return (
            self._get_upgrade() == b"websocket"
            and self.url.partition(b"?")[0] in self._front.sockets
        )

    def _check_head(self) -> None:
        """Refuse a head that is too long; one that came in one small segment cannot be."""
        if self._earlier_bytes >= 0 or self._segment_bytes > self._max_head_bytes:
            size_bytes = len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers)
            if size_bytes > self._max_head_bytes:
                raise _long_head()

    def _to_app(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)  # the scope has this list
        super().on_headers_complete()

    def _refuse(self, problem: Problem) -> None:
        """Answer a request that cannot be understood, and hang up; answers that are due come first."""
        if self.transport.is_closing():
            return
        if self._is_free():
            self.transport.write(problem.wire())
            self.transport.close()
        elif not self.cycle.more_body:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        else:  # the app has begun to read this very request
            if not self.pipeline and not self.cycle.response_started:
                self.transport.write(problem.wire())
            self.transport.close()

    def _close_if_idle(self) -> None:
        """Hang up on a client that has owed us bytes, or has not taken ours, for too long."""
        left_s = self._idle_timeout_s
        if self._client_is_due():
            left_s -= self.loop.time() - self._heard_s
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._close_if_idle)
        elif self.flow.write_paused:
            self.transport.abort()  # close() would wait until everything is written
        else:
            self.transport.close()

    def _client_is_due(self) -> bool:
        """Whether it is not us who are waited for."""
        return (
            self._is_free()
            or self.flow.write_paused
            or (self.cycle.more_body and not self.flow.read_paused)
        )

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _hand_over(self, early: bytes) -> None:
        """Let picows go on with this connection.

        Args:
            early: what the client has sent behind the handshake.
        """
        self.connections.discard(self)
        self._stop_idle_timer()
        head = [b"GET ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            # picows takes this header only without the other tokens that it may have.
            sent = b"Upgrade" if name == b"connection" else value
            head += [name, b": ", sent, b"\r\n"]
        socket = Socket(
            self._front.sockets[self.url.partition(b"?")[0]],
            self._front.open_sockets,
            self._front.settings.max_frame_bytes,
        )
        socket.take_over(self.transport, b"".join([*head, b"\r\n", early]))


def _long_url() -> Problem:
    return Problem(414, "the URL is too long")


def _long_head() -> Problem:
    return Problem(431, "the request's headers are too long")


def _reason(error: httptools.HttpParserError) -> Problem:
    """Why the parser gave up: by itself, or because one of our callbacks raised something."""
    cause = error.__context__
    if isinstance(cause, Problem):
        return cause
    if not isinstance(error, httptools.HttpParserCallbackError) or isinstance(
        cause,
        httptools.HttpParserError | UnicodeDecodeError,  # a URL that is none
    ):
        return Problem(400, "this is no valid HTTP/1.1 request")
    logger.error("hot request failed", exc_info=cause)
    return Problem(500, "the gateway failed at this request; its log says why")
