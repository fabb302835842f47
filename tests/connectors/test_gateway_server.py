import asyncio
import signal
import threading
from email.utils import parsedate_to_datetime

import pytest
from picows import WSListener
from serving import Wire, serving
from test_gateway_front import App, get, handshake

from connectors.gateway.front import Front
from connectors.gateway.server import Server
from connectors.gateway.settings import GatewaySettings


def test_requests_in_flight_are_finished_when_the_server_stops():
    app = App()
    with serving(app) as server, Wire(server.port) as busy, Wire(server.port) as idle:
        busy.send(get(b"/slow"))
        assert app.entered.wait(10)
        stopping = threading.Thread(target=lambda: server.loop.run(server.server.stop()))
        stopping.start()
        assert idle.is_closed()
        app.release.set()
        answer = busy.answer()
        assert answer.body == b"GET /slow "
        assert answer.headers["connection"] == "close"
        assert busy.is_closed()
        stopping.join(10)


def test_nobody_is_let_in_once_the_server_stops():
    with serving(App()) as server:
        port = server.port
        server.loop.run(server.server.stop())
        with pytest.raises(ConnectionRefusedError):
            Wire(port)


def test_websockets_are_told_that_the_server_goes_away():
    sockets = {b"/socket": lambda request: WSListener()}
    with serving(App(), sockets=sockets) as server, Wire(server.port) as wire:
        assert wire.send(handshake(b"/socket")).answer().status == 101
        server.loop.run(server.server.stop())
        assert wire.read(4) == b"\x88\x02\x03\xe9"  # a close frame with code 1001
        assert wire.is_closed()


def test_signals_stay_the_process_s_own():
    async def handlers():
        yield signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        server = Server(App(), Front(GatewaySettings(port=0)))
        await server.start()
        yield signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        await server.stop()

    async def seen():
        return [pair async for pair in handlers()]

    before, during = asyncio.run(seen())
    assert during == before


def test_several_servers_may_share_a_port():
    with (
        serving(App(), reuse_port=True) as one,
        serving(App(), port=one.port, reuse_port=True) as other,
    ):
        assert one.port == other.port


def test_a_port_is_not_shared_unless_both_want_it():
    with serving(App()) as server, pytest.raises(OSError, match="in use"):  # noqa: SIM117
        with serving(App(), port=server.port):
            pass


def test_the_date_of_hot_answers_is_kept():
    with serving(App()) as server, Wire(server.port) as wire:
        name, _, value = server.date.line.decode().partition(": ")
        assert name == "date"
        told = parsedate_to_datetime(wire.send(get(b"/app")).answer().headers["date"])
        assert abs((told - parsedate_to_datetime(value.strip())).total_seconds()) <= 1


def test_forwarded_addresses_are_not_believed():
    class Peer(App):
        async def __call__(self, scope, receive, send):
            self.peer = scope["client"][0]
            await super().__call__(scope, receive, send)

    app = Peer()
    with serving(app) as server, Wire(server.port) as wire:
        assert wire.send(get(b"/app", b"X-Forwarded-For: 8.8.8.8")).answer().status == 200
        assert app.peer == "127.0.0.1"
