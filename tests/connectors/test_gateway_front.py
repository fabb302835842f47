import asyncio
import base64
import contextlib
import os
import struct
import threading

import pytest
from picows import WSListener, WSMsgType
from serving import Wire, serving

HOST = b"Host: x\r\n"
HOT_BODY = b"hot"


def get(path: bytes, *headers: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"GET " + path + b" " + version + b"\r\n" + HOST + lines + b"\r\n"


def hot(path, headers, peer):
    """Knows /hot…; fails at /bug."""
    if path == b"/bug":
        raise ZeroDivisionError
    if not path.startswith(b"/hot"):
        return None
    body = path[4:] or HOT_BODY
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class App:
    """Answers with method, path and body; /slow waits until it is let go."""

    def __init__(self):
        self.seen = []
        self.entered = threading.Event()
        self.release = threading.Event()

    async def __call__(self, scope, receive, send):
        self.seen.append(scope["path"])
        if scope["path"] == "/slow":
            self.entered.set()
            await asyncio.to_thread(self.release.wait, 10)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        said = f"{scope['method']} {scope['path']} ".encode() + body
        length = (b"content-length", str(len(said)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module")
def app():
    return App()


@pytest.fixture(scope="module")
def port(app):
    with serving(app, hot=hot) as server:
        yield server.port


@pytest.fixture
def wire(port):
    with Wire(port) as wire:
        yield wire


def test_a_hot_request_is_answered_without_the_app(wire, app):
    before = len(app.seen)
    assert wire.send(get(b"/hot")).answer().body == HOT_BODY
    assert len(app.seen) == before


def test_what_is_not_hot_goes_to_the_app(wire):
    answer = wire.send(get(b"/other%20path")).answer()
    assert answer.body == b"GET /other path "
    assert "date" in answer.headers


def test_a_request_may_come_byte_by_byte(wire):
    request = get(b"/hot", b"X-Some: header")
    wire.send(*(request[i : i + 1] for i in range(len(request))))
    assert wire.answer().body == HOT_BODY


def test_pipelined_hot_requests_are_all_answered(wire):
    wire.send(b"".join(get(b"/hot%d" % i) for i in range(100)))
    assert [wire.answer().body for _ in range(100)] == [b"%d" % i for i in range(100)]


def test_pipelined_requests_are_answered_in_order_whoever_answers(wire):
    wire.send(get(b"/hot1") + get(b"/app") + get(b"/hot2") + get(b"/app") + get(b"/hot3"))
    bodies = [wire.answer().body for _ in range(5)]
    assert bodies == [b"1", b"GET /app ", b"GET /hot2 ", b"GET /app ", b"GET /hot3 "]


def test_a_request_is_hot_again_once_the_app_is_done(wire):
    assert wire.send(get(b"/app")).answer().body == b"GET /app "
    assert wire.send(get(b"/hot")).answer().body == HOT_BODY


def test_http_1_0_is_answered_and_hung_up_on(wire):
    assert wire.send(get(b"/hot", version=b"HTTP/1.0")).answer().body == HOT_BODY
    assert wire.is_closed()


def test_http_1_0_is_hung_up_on_even_if_it_asks_to_stay(wire):
    request = get(b"/hot", b"Connection: keep-alive", version=b"HTTP/1.0")
    assert wire.send(request).answer().body == HOT_BODY
    assert wire.is_closed()


@pytest.mark.parametrize("path", [b"/hot", b"/app"])
def test_nothing_is_answered_after_connection_close(wire, app, path):
    before = app.seen.count("/after")
    wire.send(get(path, b"Connection: close") + get(b"/after") + get(b"/hot"))
    assert wire.answer().status == 200
    assert wire.is_closed()
    assert app.seen.count("/after") == before


def test_the_body_of_a_hot_request_is_ignored(wire):
    wire.send(get(b"/hot1", b"Content-Length: 3") + b"abc" + get(b"/hot2"))
    assert [wire.answer().body for _ in range(2)] == [b"1", b"2"]


def test_head_goes_to_the_app_and_has_no_body(wire):
    answer = wire.send(get(b"/hot").replace(b"GET", b"HEAD")).answer(to_head=True)
    assert answer.headers["content-length"] == "10"
    assert wire.send(get(b"/hot")).answer().body == HOT_BODY


def test_a_length_together_with_chunks_is_refused(wire, app):
    before = app.seen.count("/smuggle")
    head = b"POST /smuggle HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
    answer = wire.send(head + HOST + b"\r\n0\r\n\r\n" + get(b"/hot")).answer()
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert wire.is_closed()
    assert app.seen.count("/smuggle") == before


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01hello\r\n\r\n",
        b"GET\r\n\r\n",
        get(b"/hot").replace(b"HTTP/1.1", b"HTTP/9.9"),
        get(b"/caf\xc3\xa9"),
        b"CONNECT x:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        get(b"/hot", b"Content-Length: x"),
        get(b"/hot", b"bad header"),
    ],
    ids=["TLS", "no URL", "version", "not ASCII", "CONNECT", "length", "header"],
)
def test_garbage_is_refused(wire, garbage):
    assert wire.send(garbage).answer().status == 400
    assert wire.is_closed()


def test_garbage_behind_a_good_request_does_not_overtake_its_answer(port, app):
    app.entered.clear(), app.release.clear()
    with Wire(port) as wire:
        wire.send(get(b"/slow"))
        assert app.entered.wait(10)
        wire.send(b"garbage\r\n\r\n")
        assert wire.is_silent(0.05)
        app.release.set()
        assert wire.answer().body == b"GET /slow "
        assert wire.is_closed()


def test_a_bad_chunk_is_refused_while_the_app_reads(wire):
    wire.send(b"POST /app HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n3\r\nabc\r\n")
    assert wire.send(b"zz\r\n").answer().status == 400
    assert wire.is_closed()


def test_a_bug_in_the_hot_path_is_a_500(wire):
    assert wire.send(get(b"/bug")).answer().status == 500
    assert wire.is_closed()


@pytest.mark.parametrize("path", [b"/app", b"/hot"])
def test_who_expects_to_be_told_to_continue_is(wire, path):
    wire.send(get(path, b"Expect: 100-continue", b"Content-Length: 3"))
    assert wire.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.send(b"abc").answer().body == b"GET " + path + b" abc"


def test_an_unknown_upgrade_is_ignored(wire):
    wire.send(get(b"/app", b"Connection: Upgrade", b"Upgrade: h2c") + get(b"/hot1"))
    assert wire.answer().body == b"GET /app "
    assert wire.answer().body == b"GET /hot1 "
    upgrade = get(b"/hot", b"Connection: Upgrade", b"Upgrade: h2c")
    assert wire.send(upgrade * 3).answer().body == HOT_BODY


def test_a_websocket_that_nobody_listens_to_goes_to_the_app(wire):
    assert wire.send(handshake(b"/socket")).answer().body == b"GET /socket "


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get(b"/hot" + b"x" * 9_000), 414),
        (get(b"/hot", b"X-Long: " + b"x" * 17_000), 431),
        (get(b"/hot", *(b"X-%d: many" % i for i in range(2_000))), 431),
        (b"GET /hot HTTP/1.1\r\nX-Endless: " + b"x" * 400_000, 431),
    ],
    ids=["URL", "header", "headers", "endless header"],
)
@pytest.mark.parametrize("piece_bytes", [10_000, 1_000_000])
def test_an_overlong_head_is_refused(wire, request_bytes, status, piece_bytes):
    with contextlib.suppress(ConnectionError):  # it may be hung up on before it is through
        for start in range(0, len(request_bytes), piece_bytes):
            wire.send(request_bytes[start : start + piece_bytes])
    assert wire.answer().status == status
    assert wire.is_closed()


def test_a_long_pipeline_of_short_heads_is_no_overlong_head(wire):
    pipeline = get(b"/hot", b"X-Filler: " + b"x" * 500) * 200
    for start in range(0, len(pipeline), 30_000):
        wire.send(pipeline[start : start + 30_000])
    assert {wire.answer().status for _ in range(200)} == {200}


def test_a_client_that_does_not_read_its_answers_gets_no_more():
    body = b"x" * 1_000
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + body
    answered = 0

    def counting(path, headers, peer):
        nonlocal answered
        answered += 1
        return answer

    with serving(App(), hot=counting) as server, Wire(server.port, 4_096) as wire:
        wanted = 200_000
        sent = wire.send_all_it_takes(get(b"/hot") * wanted)
        assert sent < wanted * len(get(b"/hot"))
        assert answered < 20_000  # what fits into the kernel's buffers and one segment
        whole = sent // len(get(b"/hot"))
        assert {wire.answer().body for _ in range(whole)} == {body}


def test_a_client_that_never_reads_its_answers_is_hung_up_on():
    def large(path, headers, peer):
        return b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + bytes(9_000_000)

    with serving(App(), hot=large, idle_timeout_s=0.2) as server, Wire(server.port, 4_096) as wire:
        wire.send(get(b"/hot"))
        assert server.loop.run(_connections(server.server, 0))


async def _connections(server, wanted):
    """Wait until the server has so many connections."""
    async with asyncio.timeout(10):
        while len(server._server.server_state.connections) != wanted:
            await asyncio.sleep(0.01)
    return True


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /hot HT",
        get(b"/hot"),
        get(b"/app"),
        b"POST /app HTTP/1.1\r\nContent-Length: 9\r\n" + HOST + b"\r\nabc",
    ],
    ids=["all", "a head", "the next request", "the next request of the app", "a body"],
)
def test_a_client_that_owes_us_bytes_is_hung_up_on(said):
    with serving(App(), hot=hot, idle_timeout_s=0.2) as server, Wire(server.port) as wire:
        wire.send(said)
        if said.endswith(b"\r\n\r\n"):
            assert wire.answer().status == 200
        assert wire.is_closed()


def test_a_head_that_trickles_in_is_not_waited_for():
    with serving(App(), hot=hot, idle_timeout_s=0.3) as server, Wire(server.port) as wire:
        wire.send(b"GET /hot HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            while True:
                wire.send(b"X-More: x\r\n")
                wire.is_silent(0.05)


def test_a_client_is_not_hung_up_on_while_the_app_works():
    app = App()
    with serving(app, idle_timeout_s=0.1) as server, Wire(server.port) as wire:
        wire.send(get(b"/slow"))
        assert wire.is_silent(0.3)
        app.release.set()
        assert wire.answer().body == b"GET /slow "


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())


def handshake(path: bytes) -> bytes:
    return get(
        path,
        b"Connection: keep-alive, Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)),
    )


def frame(text: bytes) -> bytes:
    mask = os.urandom(4)
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(text))
    return struct.pack("!BB", 0x81, 0x80 | len(text)) + mask + masked


@pytest.fixture(scope="module")
def echo_port():
    with serving(App(), hot=hot, sockets={b"/echo": lambda request: Echo()}) as server:
        yield server.port


def echoed(wire: Wire, text: bytes) -> bool:
    return wire.read(2 + len(text)) == struct.pack("!BB", 0x81, len(text)) + text


def test_a_websocket_is_handed_over(echo_port):
    with Wire(echo_port) as wire:
        assert wire.send(handshake(b"/echo?token=1")).answer().status == 101
        wire.send(frame(b"one"), frame(b"two"))
        assert echoed(wire, b"one")
        assert echoed(wire, b"two")


def test_a_frame_in_the_segment_of_the_handshake_is_not_lost(echo_port):
    with Wire(echo_port) as wire:
        wire.send(handshake(b"/echo") + frame(b"early") + frame(b"bird"))
        assert wire.answer().status == 101
        assert echoed(wire, b"early")
        assert echoed(wire, b"bird")


def test_a_websocket_may_follow_other_requests(echo_port):
    with Wire(echo_port) as wire:
        wire.send(get(b"/hot") + handshake(b"/echo") + frame(b"late"))
        assert wire.answer().body == HOT_BODY
        assert wire.answer().status == 101
        assert echoed(wire, b"late")


def test_a_websocket_of_another_path_goes_to_the_app(echo_port):
    with Wire(echo_port) as wire:
        assert wire.send(handshake(b"/other")).answer().body == b"GET /other "


def test_a_bad_handshake_is_refused(echo_port):
    with Wire(echo_port) as wire:
        bad = handshake(b"/echo").replace(b"Sec-WebSocket-Key", b"Another-Key")
        assert wire.send(bad).answer().status == 400
        assert wire.is_closed()
