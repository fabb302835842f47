import asyncio
import re
import time
from concurrent.futures import Future
from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redirecting import BROWSER, CATALOG, eventually, platform_in

from connectors.gateway.enrich import Enricher
from connectors.gateway.links import clicks as module
from connectors.gateway.links.clicks import LOST, RECORDED, Clicks
from connectors.gateway.links.encoding import ClickEncoder, Hit
from connectors.vault.visitors import visitor_hasher
from schemas.fields import Subject
from streams.errors import LogUnavailable, VaultError
from streams.links.rules import LinkTerms
from streams.links.views import Link
from streams.log import Entry, Position
from streams.sealing import Origin, Sealer

SOURCE = "gateway/test"
TIME_MS = 1_700_000_000_123
AGENT = (b"user-agent", BROWSER.encode())

hash_visitor = visitor_hasher()


def link(key: str = "abc", tenant: str = "acme") -> Link:
    return Link(
        link=key,
        tenant=tenant,
        claim="c",
        revision="c",
        long_url="https://example.com/",
        terms=LinkTerms(),
        created_ms=0,
    )


def encoder(visitor=hash_visitor) -> ClickEncoder:
    return ClickEncoder(Sealer(CATALOG, None), SOURCE, Enricher(), visitor)


def hit(*headers: tuple[bytes, bytes], time_ms: int = TIME_MS, query: bytes = b"") -> Hit:
    return Hit(time_ms, "GET", query, [(b"host", b"sho.rt"), *headers], "198.51.100.7")


def resealed(entry: Entry) -> Entry:
    """What the sealer makes of the same event."""
    event = CATALOG.decoder("clicks").one(entry.value)
    origin = Origin(source=event.source, tenant=event.tenant, time=event.time)
    return Sealer(CATALOG, None).entry(event.data, origin, event.id)


text = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    key=text,
    tenant=text,
    time_ms=st.integers(0, 4_000_000_000_000),
    query=st.sampled_from([b"", b"utm_source=news", b"utm_term=%C3%BC%22%5C&utm_content=\xff"]),
    agent=st.sampled_from([BROWSER, "curl/8", "", "Googlebot/2.1", "x" * 2_000]),
    referrer=st.sampled_from([b"", b"https://news.example/a?b", b"\xff\x00"]),
)
def test_clicks_have_the_form_that_the_sealer_gives_events(
    key, tenant, time_ms, query, agent, referrer
):
    encode = ENCODER
    seen = hit(
        (b"user-agent", agent.encode()), (b"referer", referrer), time_ms=time_ms, query=query
    )
    entry = encode.entry(encode.link(link(key, tenant)), seen)
    assert entry == resealed(entry)
    event = CATALOG.decoder("clicks").one(entry.value)
    assert (event.source, event.tenant, event.data.link) == (SOURCE, tenant, key)
    assert event.time == datetime.fromtimestamp(time_ms / 1000, UTC)


ENCODER = encoder()


def test_a_click_says_what_is_known_of_the_visit():
    headers = [AGENT, (b"referer", b"https://news.example/today")]
    entry = ENCODER.entry(ENCODER.link(link()), hit(*headers, query=b"utm_source=letter"))
    click = CATALOG.decoder("clicks").one(entry.value).data
    assert click.visitor == hash_visitor(date(2023, 11, 14), "198.51.100.7", BROWSER)
    assert (click.kind, click.device, click.browser, click.os) == (
        *("human", "desktop", "Firefox", "Ubuntu"),
    )
    assert (click.referrer, click.utm_source) == ("news.example", "letter")


def test_a_click_of_a_user_names_the_user():
    user = Subject("5f0c")
    clicked = ENCODER.link(link())
    anonymous = ENCODER.entry(clicked, hit(AGENT))
    entry = ENCODER.entry_of_user(clicked, hit(AGENT), user)
    event = CATALOG.decoder("clicks").one(entry.value)
    same = CATALOG.decoder("clicks").one(anonymous.value)
    assert entry[:3] == anonymous[:3]
    assert event.subject == event.data.user == user
    assert msgspec.structs.replace(event.data, user=None) == same.data


def test_ids_are_uuids_of_their_time_and_never_the_same():
    clicked = ENCODER.link(link())
    entries = [ENCODER.entry(clicked, hit(time_ms=TIME_MS + i // 100)) for i in range(2_000)]
    ids = [UUID(CATALOG.decoder("clicks").one(entry.value).id) for entry in entries]
    assert len(set(ids)) == 2_000
    assert {(id.version, id.variant) for id in ids} == {(7, "specified in RFC 4122")}
    assert [id.int >> 80 for id in ids] == [TIME_MS + i // 100 for i in range(2_000)]


def test_visitors_are_told_apart_by_address_browser_and_day():
    clicked = ENCODER.link(link())
    hits = [hit(AGENT), hit(), hit(AGENT)._replace(peer="::1"), hit(AGENT, time_ms=0), hit(AGENT)]
    entries = [ENCODER.entry(clicked, each) for each in hits]
    visitors = [CATALOG.decoder("clicks").one(entry.value).data.visitor for entry in entries]
    assert len(set(visitors)) == 4
    assert visitors[0] == visitors[4]


def test_a_click_is_not_lost_with_the_vault():
    def fail(day, *traits):
        raise VaultError("the disk is gone")

    encode = encoder(fail)
    entries = [encode.entry(encode.link(link()), hit(AGENT)) for _ in range(2)]
    one, other = (CATALOG.decoder("clicks").one(entry.value).data for entry in entries)
    assert one == other
    assert re.fullmatch("[0-9a-f]{16}", one.visitor)


class FakeLog:
    """A log that answers when it is told to."""

    def __init__(self):
        self.appends: list[tuple[list[Entry], Future]] = []
        self.taken: list[Entry] = []
        self.error: Exception | None = None
        self.answers = True

    def append(self, entries):
        future = Future()
        self.appends.append((entries, future))
        if self.answers:
            self.answer()
        return future

    def answer(self):
        for entries, future in self.appends:
            if future.done():
                continue
            if self.error is not None:
                future.set_exception(self.error)
            else:
                self.taken += entries
                future.set_result([Position("clicks", 0, i) for i in range(len(entries))])


def encode(link, hit) -> Entry:
    return Entry("clicks", 0, link.key, str(hit.time_ms).encode())


CLICKED = ENCODER.link(link())


class Counted:
    """How many clicks were recorded and lost since this was made."""

    def __init__(self):
        self._before = self._now()

    def _now(self):
        return RECORDED._value.get(), LOST._value.get()

    @property
    def since(self) -> tuple[float, float]:
        now = self._now()
        return now[0] - self._before[0], now[1] - self._before[1]


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    monkeypatch.setattr(module, "_STOP_TIMEOUT_S", 0.1)


def record(clicks: Clicks, count: int, first: int = 0) -> None:
    for i in range(first, first + count):
        clicks.record(CLICKED, hit(time_ms=i))


def values(log: FakeLog) -> list[int]:
    return [int(entry.value) for entry in log.taken]


def test_clicks_are_appended_in_order_and_many_at_once():
    log, counted = FakeLog(), Counted()

    async def run():
        clicks = Clicks(log, encode, 1_000)
        record(clicks, 500)
        assert not log.appends  # nobody has waited
        await until(lambda: counted.since == (500, 0))
        await clicks.stop()

    asyncio.run(run())
    assert values(log) == list(range(500))
    assert len(log.appends) < 10


def test_clicks_wait_while_the_log_is_unavailable():
    log, counted = FakeLog(), Counted()
    log.error = LogUnavailable("full")

    async def run():
        clicks = Clicks(log, encode, 1_000)
        record(clicks, 10)
        await until(lambda: len(log.appends) > 2)
        record(clicks, 10, first=10)
        assert counted.since == (0, 0)
        log.error = None
        await until(lambda: counted.since == (20, 0))
        await clicks.stop()

    asyncio.run(run())
    assert sorted(values(log)) == list(range(20))


def test_what_has_no_room_is_counted_as_lost():
    log, counted = FakeLog(), Counted()
    log.error = LogUnavailable("full")

    async def run():
        clicks = Clicks(log, encode, 100)
        record(clicks, 150)
        assert counted.since == (0, 50)
        await until(lambda: log.appends)
        log.error = None
        await until(lambda: counted.since == (100, 50))
        record(clicks, 100)
        await until(lambda: counted.since == (200, 50))
        await clicks.stop()

    asyncio.run(run())
    assert values(log)[:100] == list(range(100))


def test_a_log_that_hangs_takes_no_more_than_there_is_room_for():
    log, counted = FakeLog(), Counted()
    log.answers = False

    async def run():
        clicks = Clicks(log, encode, 100)
        for _ in range(3):
            record(clicks, 50)
            await until(lambda: log.appends)
        assert counted.since == (0, 50)
        log.answers = True
        log.answer()
        await clicks.stop()

    asyncio.run(run())
    assert counted.since == (100, 50)


def test_stopping_waits_for_what_is_on_its_way():
    log, counted = FakeLog(), Counted()
    log.answers = False

    async def run():
        clicks = Clicks(log, encode, 1_000)
        record(clicks, 10)
        await until(lambda: log.appends)
        record(clicks, 10)
        asyncio.get_running_loop().call_later(0.02, log.answer)
        await clicks.stop()

    asyncio.run(run())
    assert counted.since == (20, 0)


def test_stopping_does_not_wait_for_a_log_that_is_down():
    log, counted = FakeLog(), Counted()
    log.error = LogUnavailable("full")

    async def run():
        clicks = Clicks(log, encode, 1_000)
        record(clicks, 10)
        await clicks.stop()

    asyncio.run(run())
    assert counted.since == (0, 10)


def test_stopping_does_not_wait_for_ever():
    log = FakeLog()
    log.answers = False

    async def run():
        clicks = Clicks(log, encode, 1_000)
        record(clicks, 10)
        started_s = time.monotonic()
        await clicks.stop()
        return time.monotonic() - started_s

    assert asyncio.run(run()) < 1


def test_a_click_that_cannot_be_encoded_takes_no_other_with_it():
    log, counted = FakeLog(), Counted()

    def stumble(link, hit):
        if hit.time_ms == 3:
            raise ZeroDivisionError
        return encode(link, hit)

    async def run():
        clicks = Clicks(log, stumble, 1_000)
        record(clicks, 5)
        await until(lambda: counted.since == (4, 1))
        await clicks.stop()

    asyncio.run(run())
    assert values(log) == [0, 1, 2, 4]


def test_a_fault_other_than_unavailability_is_not_tried_again():
    log, counted = FakeLog(), Counted()
    log.error = ValueError("a bug")

    async def run():
        clicks = Clicks(log, encode, 1_000)
        record(clicks, 5)
        await until(lambda: counted.since == (0, 5))
        await clicks.stop()

    asyncio.run(run())
    assert len(log.appends) == 1


def test_neither_address_nor_browser_nor_page_is_written_anywhere(tmp_path):
    agent, address, page = "Mozilla/5.0 SomeRareBrowser/77", "198.51.100.99", "/private/page"
    with platform_in(tmp_path) as platform:
        path = platform.make("watched")
        with platform.gateway() as gateway:
            for _ in range(2):
                gateway.get(
                    path,
                    f"User-Agent: {agent}",
                    f"X-Forwarded-For: {address}",
                    f"Referer: https://referrer.example{page}",
                )
        clicks = eventually(lambda: len(found := platform.clicks("watched")) == 2 and found)
    assert {click.data.referrer for click in clicks} == {"referrer.example"}
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"referrer.example" in written  # so it can be found at all
    assert clicks[0].data.visitor.encode() in written
    for secret in (agent, "SomeRareBrowser", address, "127.0.0.1", page):
        assert secret.encode() not in written
