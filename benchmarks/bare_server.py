"""The peer of redirects: asyncio and httptools, which parse every header; the answer is constant."""

import asyncio
from typing import cast

import httptools

_ANSWER = (
    b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/pages/0\r\n"
    b"cache-control: private, max-age=0\r\ncontent-length: 0\r\n\r\n"
)


class BareProtocol(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to parse."""
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the methods below."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        """Answer."""
        self._transport.write(_ANSWER)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.get_running_loop().create_server(BareProtocol, "127.0.0.1", port)
    await server.serve_forever()
