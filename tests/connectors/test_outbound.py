import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.errors import AddressRefused, Unreachable
from connectors.outbound import MAX_BODY_BYTES, Outbound, Resolve
from streams.errors import RuleBroken
from streams.links.urls import UrlRules

pytestmark = pytest.mark.anyio

PRIVATE_ALLOWED = UrlRules(own="sho.rt", blocked=frozenset(("evil.test",)), allow_private=True)
PUBLIC_ONLY = UrlRules()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


Handler = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answers(paths: dict[str, str], body: bytes = b"") -> Handler:
    """Answers each path with a head: status line and headers; requests are kept in `.seen`."""

    async def handle(head: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = head.split()[1]
        answer = paths.get(path, "200 OK")
        length = "" if "Content-Length" in answer else f"\r\nContent-Length: {len(body)}"
        writer.write(f"HTTP/1.1 {answer}{length}\r\n\r\n".encode() + body)

    return handle


async def silence(_: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator["Server"]:
    running = Server(handler)
    listening = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=tls)
    running.port = listening.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        listening.close()
        await listening.wait_closed()


class Server:
    def __init__(self, handler: Handler) -> None:
        self.port = 0
        self.heads: list[str] = []
        self._handler = handler

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                await self._handler(head, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def at(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


def names(**addresses: str) -> Resolve:
    """A resolver that knows a few names (`_` for a dot), and how often it was asked."""

    async def resolve(host: str, port: int) -> list[str]:
        return addresses[host.replace(".", "_")].split()

    return resolve


def out(budget_s: float = 2.0, resolve: Resolve | None = None) -> Outbound:
    return Outbound(allow_private=True, budget_s=budget_s, resolve=resolve)


async def test_a_chain_of_redirects_is_followed_to_its_end() -> None:
    chain = {f"/{n}": f"302 Found\r\nLocation: /{n + 1}" for n in range(5)}
    async with server(answers(chain)) as site, out() as outbound:
        target = await outbound.final_target(site.at("/0#top"), PRIVATE_ALLOWED)
    assert (target.url, target.reached) == (site.at("/5#top"), True)


async def test_a_sixth_hop_is_refused() -> None:
    chain = {f"/{n}": f"307 Again\r\nLocation: /{n + 1}" for n in range(6)}
    async with server(answers(chain)) as site, out() as outbound:
        with pytest.raises(RuleBroken, match="more than 5 times"):
            await outbound.final_target(site.at("/0"), PRIVATE_ALLOWED)


async def test_a_loop_is_refused_even_if_its_fragment_changes() -> None:
    loop = {"/a": "301 Moved\r\nLocation: /b", "/b": "303 Other\r\nLocation: /a#again"}
    async with server(answers(loop)) as site, out() as outbound:
        with pytest.raises(RuleBroken, match="loop"):
            await outbound.final_target(site.at("/a"), PRIVATE_ALLOWED)
    assert len(site.heads) == 2


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ftp://example.com/", "begin with http"),
        ("javascript:alert(1)", "begin with http"),
        ("https://sho.rt/x", "leads back to this service"),
        ("http://www.evil.test/", "blocked hosts"),
        ("http://169.254.169.254/latest/meta-data/", "not on the public internet"),
        ("http://[::ffff:a9fe:a9fe]/", "not on the public internet"),
        ("http://user:secret@example.com/", "user name or password"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://[bad/", "no URL"),
    ],
)
async def test_every_hop_is_checked_again(location: str, reason: str) -> None:
    async with (
        server(answers({"/": f"302 Found\r\nLocation: {location}"})) as site,
        out() as outbound,
    ):
        with pytest.raises(RuleBroken, match=reason) as broken:
            await outbound.final_target(site.at("/"), PRIVATE_ALLOWED)
    assert broken.value.field == "long_url"


async def test_an_error_status_or_a_redirect_without_location_is_the_end() -> None:
    async with (
        server(answers({"/gone": "404 Not Found", "/odd": "302 Found"})) as site,
        out() as outbound,
    ):
        gone = await outbound.final_target(site.at("/gone"), PRIVATE_ALLOWED)
        odd = await outbound.final_target(site.at("/odd"), PRIVATE_ALLOWED)
    assert gone.reached
    assert odd.reached


async def test_what_does_not_answer_is_the_last_known_target() -> None:
    async with server(silence) as quiet, out(budget_s=0.2) as outbound:
        redirect = {"/": f"302 Found\r\nLocation: {quiet.at('/slow')}"}
        async with server(answers(redirect)) as site:
            target = await outbound.final_target(site.at("/"), PRIVATE_ALLOWED)
    assert (target.url, target.reached) == (quiet.at("/slow"), False)


async def test_an_unknown_name_or_a_refused_connection_does_not_refuse_the_link() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    async with server(silence) as gone:
        pass
    async with out() as outbound:
        refused = await outbound.final_target(gone.at("/"), PRIVATE_ALLOWED)
    async with out(resolve=unknown) as outbound:
        nowhere = await outbound.final_target("http://nowhere.test/", PRIVATE_ALLOWED)
    assert (refused.reached, nowhere.reached) == (False, False)


async def test_a_server_that_talks_something_else_does_not_refuse_the_link() -> None:
    async def babble(_: str, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp ready\r\n\r\n")
        writer.close()

    async with server(babble) as site, out() as outbound:
        target = await outbound.final_target(site.at("/"), PRIVATE_ALLOWED)
    assert not target.reached


@pytest.mark.parametrize(
    "addresses",
    [
        *("127.0.0.1", "10.1.2.3", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "::1"),
        *("::ffff:192.168.0.1", "64:ff9b::a00:1", "fe80::1%eth0", "fd00::1"),
        "93.184.216.34 127.0.0.1",
    ],
)
async def test_a_name_with_an_address_that_is_not_global_is_refused(addresses: str) -> None:
    async with Outbound(allow_private=False, resolve=names(shop_test=addresses)) as outbound:
        with pytest.raises(RuleBroken, match="not on the public internet"):
            await outbound.final_target("http://shop.test/", PUBLIC_ONLY)
        with pytest.raises(AddressRefused):
            await outbound.request("POST", "http://shop.test/", {}, b"{}")


async def test_the_machines_own_resolver_is_vetted_too() -> None:
    async with Outbound(allow_private=False) as outbound:
        with pytest.raises(AddressRefused):
            await outbound.request("GET", "http://localhost/", {})


async def test_metadata_addresses_are_refused_even_where_private_ones_are_allowed() -> None:
    async with out(resolve=names(metadata_test="169.254.169.254")) as outbound:
        with pytest.raises(AddressRefused):
            await outbound.request("GET", "http://metadata.test/", {})


async def test_a_name_is_resolved_once_and_its_address_connected_to() -> None:
    asked = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async with server(answers({})) as site, out(resolve=rebinding) as outbound:
        answer = await outbound.request("GET", site.at("/", host="shop.test"), {})
    assert answer.status == 200
    assert asked == ["shop.test"]
    assert f"Host: shop.test:{site.port}\r\n" in site.heads[0]


async def test_the_second_address_is_tried_if_the_first_refuses() -> None:
    async with (
        server(answers({})) as site,
        out(resolve=names(shop_test="127.0.0.9 127.0.0.1")) as outbound,
    ):
        answer = await outbound.request("GET", site.at("/", host="shop.test"), {})
    assert answer.status == 200


async def test_a_request_carries_its_body_and_brings_back_status_headers_and_body() -> None:
    bodies = []

    async def take(_: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(7))
        writer.write(b"HTTP/1.1 429 Slow\r\nRetry-After: 9\r\nContent-Length: 4\r\n\r\nwait")

    async with server(take) as site, out() as outbound:
        answer = await outbound.request("POST", site.at("/"), {"X-Event": "1"}, b'{"a":1}')
    assert bodies == [b'{"a":1}']
    assert "X-Event: 1\r\n" in site.heads[0]
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "9", b"wait")


async def test_a_request_follows_no_redirect() -> None:
    async with (
        server(answers({"/": "302 Found\r\nLocation: /next"})) as site,
        out() as outbound,
    ):
        answer = await outbound.request("GET", site.at("/"), {})
    assert (answer.status, len(site.heads)) == (302, 1)


async def test_no_more_of_an_answer_is_read_than_the_limit() -> None:
    async with (
        server(answers({}, body=b"x" * MAX_BODY_BYTES * 20)) as site,
        out() as outbound,
    ):
        answer = await outbound.request("GET", site.at("/"), {})
    assert len(answer.body) == MAX_BODY_BYTES


async def test_an_answer_that_trickles_is_cut_off_by_the_budget() -> None:
    async def trickle(_: str, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(trickle) as site, out(budget_s=0.2) as outbound:
        with pytest.raises(Unreachable, match=r"0\.2 s"):
            await outbound.request("GET", site.at("/"), {})


async def test_a_certificate_is_verified_against_the_name(tmp_path: Path) -> None:
    seen: list[str] = []
    serving, trusting = _certificate(tmp_path, "shop.test")
    serving.sni_callback = lambda _socket, name, _context: seen.append(name or "")
    resolve = names(shop_test="127.0.0.1", other_test="127.0.0.1")
    async with (
        server(answers({}), tls=serving) as site,
        Outbound(allow_private=True, tls=trusting, resolve=resolve) as outbound,
    ):
        right = await outbound.final_target(f"https://shop.test:{site.port}/", PRIVATE_ALLOWED)
        wrong = await outbound.final_target(f"https://other.test:{site.port}/", PRIVATE_ALLOWED)
    assert (right.reached, wrong.reached) == (True, False)
    assert seen == ["shop.test", "other.test"]


def _certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS of a server with a certificate of its own for a host, and of clients that trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(
        certificate
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return serving, ssl.create_default_context(cadata=certificate.decode())
