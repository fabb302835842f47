"""The producers' client, on a real gateway, and with a bad network in between."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from api import running
from logs import values

from schemas.ids import uuid7
from sixfold.client import (
    AsyncClient,
    Client,
    DamagedSpill,
    NotFlushed,
    Options,
    Rejected,
    SpillInUse,
    Undelivered,
)
from sixfold.client.gateway import Unreachable, _delivered

HURRIED = Options(max_batch_events=10, max_pending_events=20, close_timeout_s=0.05)
TIMEOUT_S = 10


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture(scope="module")
def key(api):
    return api.new_key("acme", "events:write")


@pytest.fixture(scope="module")
def url(api):
    return f"http://127.0.0.1:{api.port}"


@pytest.fixture
def poll(request):
    """A poll of each test's own: its events are in one partition, in order."""
    return request.node.name


def data(poll, option):
    return {"poll": poll, "option": option}


def votes(api, poll):
    """(id, option) of a poll's events in the log."""
    decoder = api.catalog.decoder("polls")
    events = [
        decoder.one(value) for partition in (0, 1) for value in values(api.log, "polls", partition)
    ]
    return [(event.id, event.data.option) for event in events if event.data.poll == poll]


def known_once(votes):
    """As a fold knows them, which drops an event whose id it has seen."""
    return list(dict.fromkeys(votes))


class Proxy:
    """Between client and gateway: does to each request what the next fault says, then none.

    A fault takes a request and says what to answer, or None to hang up.
    """

    def __init__(self, gateway_port: int, *faults: Callable[["Proxy", bytes], bytes | None]):
        self.faults = list(faults)
        self.requests = 0
        self.port = 0
        self._gateway_port = gateway_port

    @asynccontextmanager
    async def serving(self, port: int = 0):
        server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        self._connections: set[asyncio.StreamWriter] = set()
        try:
            yield self
        finally:
            server.close()
            for writer in self._connections:
                writer.close()
            await server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _connected(self, reader, writer):
        self._connections.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await http_message(reader)
                self.requests += 1
                fault = self.faults.pop(0) if self.faults else Proxy.passed_on
                answer = await fault(self, request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if fault is Proxy.answer_cut:
                    break
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self._connections.discard(writer)

    async def passed_on(self, request):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway_port)
        writer.write(request)
        try:
            return await http_message(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    async def answer_lost(self, request):
        await self.passed_on(request)

    async def request_lost(self, request):
        pass

    async def answer_cut(self, request):
        return (await self.passed_on(request))[:-10]

    async def busy(self, request):
        return b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


async def http_message(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [
        line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    ]
    return head + await reader.readexactly(int(lengths[0]) if lengths else 0)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def until(condition):
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.005)


def test_events_arrive_with_their_ids_and_in_order(api, url, key, poll):
    async def send():
        async with AsyncClient(url, key, options=Options(max_batch_events=7)) as client:
            ids = [await client.send("poll.voted", data(poll, i)) for i in range(50)]
            await client.flush(TIMEOUT_S)
            return ids

    ids = asyncio.run(send())
    assert votes(api, poll) == list(zip(ids, range(50), strict=True))


def test_events_of_a_thread_arrive_with_their_ids_and_in_order(api, url, key, poll):
    with Client(url, key) as client:
        ids = [client.send("poll.voted", data(poll, i)) for i in range(50)]
    assert votes(api, poll) == list(zip(ids, range(50), strict=True))


def test_several_threads_share_a_client(api, url, key, poll):
    with Client(url, key) as client:

        def send(first):
            for i in range(first, first + 20):
                client.send("poll.voted", data(poll, i))

        threads = [threading.Thread(target=send, args=(first,)) for first in (0, 20, 40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    options = [option for _, option in votes(api, poll)]
    assert sorted(options) == list(range(60))
    assert [option for option in options if option < 20] == list(range(20))


def test_url_and_key_are_taken_from_the_environment(api, url, key, poll, monkeypatch):
    monkeypatch.setenv("SIXFOLD_URL", url)
    monkeypatch.setenv("SIXFOLD_API_KEY", key)
    with Client() as client:
        id = client.send("poll.voted", data(poll, 1), id=uuid7(1))
    assert votes(api, poll) == [(id, 1)]


def test_a_url_without_its_scheme_is_refused_at_once():
    with pytest.raises(ValueError, match=r"'127\.0\.0\.1:8080' must begin with http://"):
        AsyncClient("127.0.0.1:8080", "key")
    with pytest.raises(ValueError, match="must begin with http://"), Client("localhost", "key"):
        pass


def test_append_returns_where_the_event_is(api, url, key, poll):
    with Client(url, key) as client:
        receipt = client.append("poll.voted", data(poll, 3))
        (event,) = api.events(receipt.position)
    assert (event.id, event.data.poll, event.data.option) == (receipt.id, poll, 3)


def test_a_refused_event_takes_no_others_with_it(api, url, key, poll):
    refused = []
    with Client(url, key, on_rejected=refused.append) as client:
        good = [client.send("poll.voted", data(poll, 0))]
        bad = client.send("poll.voted", {"poll": poll, "option": "many"})
        good.append(client.send("poll.voted", data(poll, 2)))
        with pytest.raises(Rejected, match=r"poll\.eaten") as caught:
            client.append("poll.eaten", {})
    assert [id for id, _ in votes(api, poll)] == good
    assert [rejected.id for rejected in refused] == [bad, caught.value.id]
    assert "option" in refused[0].reasons[0]


def test_a_refused_event_that_nobody_is_told_of_is_logged(url, key, poll, caplog):
    with Client(url, key) as client:
        bad = client.send("poll.voted", {"poll": poll, "option": "many"})
        with pytest.raises(Rejected):
            client.append("poll.eaten", {})
    (logged,) = [record for record in caplog.records if record.name == "sixfold.client"]
    assert logged.levelname == "WARNING"
    assert logged.getMessage().startswith(f"event {bad} was refused: ")


def test_an_on_rejected_that_fails_does_not_stop_the_sending(api, url, key, poll):
    reported = []

    async def send():
        def fail(rejected):
            raise ZeroDivisionError

        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: reported.append(type(context["exception"]))
        )
        async with AsyncClient(url, key, on_rejected=fail) as client:
            with pytest.raises(Rejected):
                await client.append("poll.eaten", {})
            await client.append("poll.voted", data(poll, 1))

    asyncio.run(send())
    assert reported == [ZeroDivisionError]
    assert [option for _, option in votes(api, poll)] == [1]


def test_a_key_without_the_scope_is_refused(api, url, poll):
    with (
        Client(url, api.new_key("acme", "links:read")) as client,
        pytest.raises(Rejected, match="events:write"),
    ):
        client.append("poll.voted", data(poll, 1))
    assert votes(api, poll) == []


def test_a_key_that_is_none_is_refused(api, url, poll):
    with Client(url, "wrong") as client, pytest.raises(Rejected):
        client.append("poll.voted", data(poll, 1))
    assert votes(api, poll) == []


@pytest.mark.parametrize(
    "faults",
    [
        [Proxy.answer_lost, Proxy.answer_lost],
        [Proxy.request_lost, Proxy.passed_on, Proxy.request_lost],
        [Proxy.answer_cut, Proxy.passed_on, Proxy.answer_lost],
    ],
    ids=["answers lost", "requests lost", "answers cut"],
)
def test_a_bad_network_loses_nothing_and_makes_nothing_twice(api, key, poll, faults):
    async def send():
        async with Proxy(api.port, *faults).serving() as proxy:
            async with AsyncClient(proxy.url, key, options=Options(max_batch_events=10)) as client:
                ids = [await client.send("poll.voted", data(poll, i)) for i in range(40)]
                await client.flush(TIMEOUT_S)
            assert not proxy.faults
            return ids

    ids = asyncio.run(send())
    assert known_once(votes(api, poll)) == list(zip(ids, range(40), strict=True))


def test_a_busy_gateway_is_left_alone_as_long_as_it_asks(api, key, poll):
    async def send():
        async with Proxy(api.port, Proxy.busy).serving() as proxy:
            loop = asyncio.get_running_loop()
            async with AsyncClient(proxy.url, key) as client:
                start_s = loop.time()
                await client.append("poll.voted", data(poll, 1))
                assert loop.time() - start_s >= 1
            assert proxy.requests == 2

    asyncio.run(send())
    assert [option for _, option in votes(api, poll)] == [1]


def test_a_gateway_that_comes_later_gets_everything(api, key, poll):
    async def send():
        port = free_port()
        async with AsyncClient(f"http://127.0.0.1:{port}", key) as client:
            ids = [await client.send("poll.voted", data(poll, i)) for i in range(5)]
            await until(lambda: client._away)
            with pytest.raises(NotFlushed, match=r"5 events were not delivered within 0 s"):
                await client.flush(0)
            async with Proxy(api.port).serving(port):
                await client.flush(TIMEOUT_S)
            return ids

    ids = asyncio.run(send())
    assert votes(api, poll) == list(zip(ids, range(5), strict=True))


def test_what_memory_cannot_hold_waits_on_disk_in_order(api, key, poll, tmp_path):
    async def send():
        port, spill = free_port(), tmp_path / "spill"
        client = AsyncClient(f"http://127.0.0.1:{port}", key, spill=spill, options=HURRIED)
        async with client, asyncio.timeout(TIMEOUT_S):
            # The 21st waits for room, until the gateway is known to be away.
            ids = [await client.send("poll.voted", data(poll, i)) for i in range(60)]
            assert spill.stat().st_size > 40 * len(ids[0])
            async with Proxy(api.port).serving(port):
                ids += [await client.send("poll.voted", data(poll, i)) for i in range(60, 200)]
                await client.flush(TIMEOUT_S)
        assert not spill.exists()
        return ids

    ids = asyncio.run(send())
    assert votes(api, poll) == list(zip(ids, range(200), strict=True))


def test_a_spill_is_left_to_the_next_client_in_order(api, url, key, poll, tmp_path):
    spill = tmp_path / "spill"
    away = f"http://127.0.0.1:{free_port()}"
    with Client(away, key, spill=spill, options=HURRIED) as client:
        ids = [client.send("poll.voted", data(poll, i)) for i in range(50)]
    assert votes(api, poll) == []
    with Client(url, key, spill=spill) as client:
        ids.append(client.send("poll.voted", data(poll, 50)))
        client.flush(TIMEOUT_S)
    assert votes(api, poll) == list(zip(ids, range(51), strict=True))
    assert not spill.exists()


def test_a_stream_of_appends_does_not_hold_up_what_is_in_the_spill(api, url, key, poll, tmp_path):
    spill = tmp_path / "spill"
    away = f"http://127.0.0.1:{free_port()}"
    with Client(away, key, spill=spill, options=HURRIED) as client:
        for i in range(50):
            client.send("poll.voted", data(poll, i))

    async def append_without_a_pause(client):
        while True:
            await client.append("poll.voted", data(poll, -1))

    async def send():
        async with AsyncClient(url, key, spill=spill, options=HURRIED) as client:
            streams = [asyncio.create_task(append_without_a_pause(client)) for _ in range(30)]
            await client.flush(TIMEOUT_S)
            for stream in streams:
                stream.cancel()

    asyncio.run(send())
    options = [option for _, option in votes(api, poll)]
    assert options[:50] == list(range(50))
    assert -1 in options


@pytest.mark.parametrize("max_bytes", [8 << 20, 1_000], ids=["by number", "by size"])
def test_sent_and_appended_events_arrive_in_one_order(
    api, key, poll, tmp_path, monkeypatch, max_bytes
):
    """Those that are sent wait behind others on disk, those that are appended in memory."""
    monkeypatch.setattr("sixfold.client.asynchronous._MAX_BATCH_BYTES", max_bytes)
    port, spill = free_port(), tmp_path / "spill"
    away = f"http://127.0.0.1:{port}"
    with Client(away, key, spill=spill, options=HURRIED) as client:
        for i in range(15):
            client.send("poll.voted", data(poll, i))

    async def run():
        appending = []
        client = AsyncClient(away, key, spill=spill, options=HURRIED)
        async with client, asyncio.timeout(TIMEOUT_S):
            for i in range(15, 100):
                if i % 10 < 2:
                    append = client.append("poll.voted", data(poll, i))
                    appending.append(asyncio.create_task(append))
                    await until(lambda: len(client._pending) == len(appending))
                else:
                    large = {"voter": "x" * 400} if i % 10 == 5 else {}
                    await client.send("poll.voted", data(poll, i) | large)
            async with Proxy(api.port).serving(port):
                await client.flush()
                await asyncio.gather(*appending)

    asyncio.run(run())
    assert [option for _, option in votes(api, poll)] == list(range(100))


def test_flush_does_not_wait_for_what_comes_after_it(url, key, poll):
    async def run():
        async with AsyncClient(url, key, options=HURRIED) as client:

            async def send_without_a_pause():
                while True:
                    await client.send("poll.voted", data(poll, 1))

            sending = [asyncio.create_task(send_without_a_pause()) for _ in range(5)]
            await until(lambda: client._pending)
            await client.flush(TIMEOUT_S)
            assert not sending[0].done()
            for task in sending:
                task.cancel()

    asyncio.run(run())


def test_a_client_that_is_closed_is_not_flushed(url, key):
    client = Client(url, key)
    client.close()
    with pytest.raises(Undelivered, match="closed"):
        client.flush()


def test_two_clients_cannot_share_a_spill(url, key, tmp_path):
    with (
        Client(url, key, spill=tmp_path / "spill"),
        pytest.raises(SpillInUse, match="a file of its own"),
    ):
        Client(url, key, spill=tmp_path / "spill")
    with Client(url, key, spill=tmp_path / "spill"):
        pass


def test_an_appended_event_that_is_undelivered_is_not_spilled(key, poll, tmp_path):
    async def send():
        away = f"http://127.0.0.1:{free_port()}"
        client = AsyncClient(away, key, spill=tmp_path / "spill", options=HURRIED)
        async with client:
            appending = asyncio.create_task(client.append("poll.voted", data(poll, 1)))
            await until(lambda: client._away)
        with pytest.raises(Undelivered):
            await appending

    asyncio.run(send())
    assert not (tmp_path / "spill").exists()


def test_a_refused_event_of_a_spill_is_told_too(api, url, key, tmp_path):
    refused = []
    away = f"http://127.0.0.1:{free_port()}"
    with Client(away, key, spill=tmp_path / "spill", options=HURRIED) as client:
        id = client.send("poll.eaten", {})
    with Client(url, key, spill=tmp_path / "spill", on_rejected=refused.append) as client:
        client.flush(TIMEOUT_S)
    assert [rejected.id for rejected in refused] == [id]


def test_without_a_spill_close_says_what_is_undelivered(key, poll):
    client = Client(f"http://127.0.0.1:{free_port()}", key, options=HURRIED)
    client.send("poll.voted", data(poll, 1))
    with pytest.raises(Undelivered, match="1 events"):
        client.close()
    client.close()


def test_a_closed_client_takes_nothing(url, key, poll):
    with Client(url, key) as client:
        pass
    with pytest.raises(Undelivered, match="closed"):
        client.send("poll.voted", data(poll, 1))


def test_closing_ends_the_wait_for_room(key, poll):
    async def send():
        client = AsyncClient(f"http://127.0.0.1:{free_port()}", key, options=HURRIED)
        await client.__aenter__()
        for i in range(HURRIED.max_pending_events):
            await client.send("poll.voted", data(poll, i))
        waiting = asyncio.create_task(client.send("poll.voted", data(poll, -1)))
        await until(lambda: client._away)
        with pytest.raises(Undelivered, match="20 events"):
            await client.close()
        with pytest.raises(Undelivered, match="closed"):
            await waiting

    asyncio.run(send())


def test_a_client_refuses_a_file_that_is_no_spill(url, key, tmp_path):
    (tmp_path / "notes").write_text("a letter to somebody")
    with pytest.raises(DamagedSpill):
        Client(url, key, spill=tmp_path / "notes")


def test_answers_may_say_more_than_the_client_knows():
    event = {"index": 0, "id": "1", "position": "polls/0/7", "colour": "red"}
    error = {"index": 1, "field": "type", "message": "unknown", "help": "…"}
    answer = httpx.Response(202, json={"events": [event], "errors": [error], "weather": {}})
    delivered = _delivered(answer, 2)
    assert delivered.positions == {0: "polls/0/7"}
    assert delivered.refusals == {1: ["type: unknown"]}


@pytest.mark.parametrize("index", [1, 2])
def test_an_answer_that_leaves_an_event_out_is_none(index):
    events = [{"index": index, "position": "polls/0/7"}, {"index": 3, "position": "polls/0/8"}]
    with pytest.raises(Unreachable):
        _delivered(httpx.Response(202, json={"events": events}), 2)
