"""The one way out: every connection to an address that a user supplied is opened here.

A host's name is resolved once, each of its addresses is looked at, and the connection is made to an
address that passed; so a name cannot show one address to the check and another to the connection
(DNS rebinding). `Host`, SNI and the certificate are still the name's. No redirect is followed
unseen, no proxy taken from the environment, nothing decompressed, and no answer read beyond a limit.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urldefrag, urljoin, urlsplit

import httpcore

from connectors.errors import AddressRefused, Unreachable
from streams.addresses import Address, address_of, is_global, is_global_or_private
from streams.errors import RuleBroken
from streams.links.urls import UrlRules, normal_url

MAX_HOPS = 5
MAX_BODY_BYTES = 64 * 1024

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HEADERS = {"User-Agent": "Sixfold", "Accept": "*/*", "Accept-Encoding": "identity"}
_MAX_CONNECTIONS = 100

# Lookups block a thread each, for many seconds if a name server is silent; threads of their own keep
# them from holding up the loop's other work.
_RESOLVER_THREADS = 16

Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        headers: by their names in lower case.
        body: its first bytes, `MAX_BODY_BYTES` at most.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads to in the end.

    Attributes:
        reached: whether that URL answered; if not, it may redirect further.
    """

    url: str
    reached: bool


class Outbound:
    """An HTTP client for addresses that users supply; use it as a context manager.

    Args:
        allow_private: whether to connect also into the intranet and to this machine; link-local
            addresses, where metadata services are, stay refused.
        budget_s: for a whole request or chain of redirects.
        tls: what certificates are verified with; by default the machine's trust store.
        resolve: from a host and port to the host's addresses; by default the machine's resolver.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        budget_s: float = 2.0,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._budget_s = budget_s
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=_VettedNetwork(
                is_global_or_private if allow_private else is_global, resolve or self._look_up
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """Make one request.

        Raises:
            RuleBroken: the URL is malformed or has credentials.
            AddressRefused: the host has an address that is not let through.
            Unreachable: there was no answer within the budget.
        """
        target = normal_url(url, "url")
        try:
            async with (
                asyncio.timeout(self._budget_s),
                self._exchange(method, target, headers, body) as response,
            ):
                return Answer(response.status, _headers(response), await _beginning(response))
        except TimeoutError as late:
            raise Unreachable(f"{target}: no answer within {self._budget_s} s") from late

    async def final_target(self, url: str, rules: UrlRules, field: str = "long_url") -> Target:
        """Follow redirects, at most `MAX_HOPS`, to the URL that answers with something else.

        The requests are GETs of which only the head is read: many servers answer a HEAD wrongly.
        A URL that does not answer within what is left of the budget is where the chain ends.

        Raises:
            RuleBroken: a URL in the chain is against the rules or has an address that is refused,
                or the chain is a loop or too long.
        """
        current = rules.target(url, field)
        seen = {urldefrag(current).url}
        try:
            async with asyncio.timeout(self._budget_s):
                for _ in range(MAX_HOPS + 1):
                    location = await self._location(current)
                    if location is None:
                        return Target(current, reached=True)
                    current = _next_hop(current, location, rules, field)
                    if urldefrag(current).url in seen:
                        raise RuleBroken(field, f"redirects in a loop, back to {current}")
                    seen.add(urldefrag(current).url)
        except (Unreachable, TimeoutError):
            return Target(current, reached=False)
        except AddressRefused as refused:
            raise RuleBroken(field, str(refused)) from refused
        raise RuleBroken(field, f"redirects more than {MAX_HOPS} times: give the final address")

    async def _location(self, url: str) -> str | None:
        """Where a URL redirects to, if it does."""
        async with self._exchange("GET", url, {}, None) as response:
            if response.status in _REDIRECTS:
                return _headers(response).get("location")
            return None

    @asynccontextmanager
    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[httpcore.Response]:
        try:
            async with self._pool.stream(
                method,
                url,
                headers=[*({**_HEADERS, **headers, "Host": urlsplit(url).netloc}).items()],
                content=body,
                # Half of the budget, so that a host's second address gets its turn.
                extensions={"timeout": {"connect": self._budget_s / 2}},
            ) as response:
                yield response
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
        ) as failure:
            raise Unreachable(f"{url}: {type(failure).__name__} {failure}") from failure

    async def _look_up(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]


class _VettedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were looked at, and to no others."""

    def __init__(self, allowed: Callable[[Address], bool], resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that accepts.

        Raises:
            AddressRefused: one of them is not allowed. The others could be used, but a name that
                has both is hardly meant well.
        """
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._vetted(host, port):
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                failure = failed
        raise failure

    async def _vetted(self, host: str, port: int) -> list[Address]:
        try:
            addresses = [address_of(text) for text in await self._resolve(host, port)]
        except (OSError, UnicodeError) as unknown:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {unknown}") from unknown
        if not all(map(self._allowed, addresses)):
            raise AddressRefused(f"{host} has an address that is not on the public internet")
        return addresses


def _next_hop(current: str, location: str, rules: UrlRules, field: str) -> str:
    """Where a redirect leads; it keeps the fragment unless it has one (RFC 9110, section 10.2.2)."""
    try:
        joined = urljoin(current, location)
    except ValueError as malformed:
        raise RuleBroken(field, f"redirects to what is no URL: {malformed}") from malformed
    fragment = urldefrag(current).fragment
    if fragment and "#" not in joined:
        joined = f"{joined}#{fragment}"
    try:
        return rules.target(joined, field)
    except RuleBroken as broken:
        raise RuleBroken(field, f"redirects to an address that {broken.reason}") from broken


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): _text(value) for name, value in response.headers}


def _text(value: bytes) -> str:
    """A header's value: UTF-8 if it is that, as browsers read `Location`."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _beginning(response: httpcore.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) >= MAX_BODY_BYTES:
            break
    return bytes(body[:MAX_BODY_BYTES])
