"""The clock of the machine is set an hour ahead, and back again, while events come in."""

from contextlib import ExitStack, closing

import pytest
from linking import ALL_SCOPES, PUBLIC_URL, TARGET, Api, LinkGateway
from logs import all_records, done
from redirecting import BROWSER, eventually, platform_in

from connectors.gateway.links.settings import LinkSettings
from connectors.log import writer
from connectors.log.merging import Merging
from connectors.log.retention import DAY_MS, retention_steps
from connectors.log.sqlite import SqliteLog
from schemas.ids import uuid7
from schemas.topic import Topic
from streams.log import Entry

HOUR_MS = 3_600_000
HOUR_S = 3_600.0
START_MS = 1_800_000_000_000
STEPS = (0, 1, 0, -1, 1, -1, 0)  # hours


@pytest.fixture
def log(tmp_path):
    with closing(SqliteLog(tmp_path / "log.db", "NORMAL", watermark_bytes=0)) as log:
        log.create([Topic("t", partitions=1, retention_days=1)])
        yield log


@pytest.fixture
def stepped(log, monkeypatch):
    """A log with ten records from each step of the clock."""
    with monkeypatch.context() as patched:
        for hours in STEPS:
            patched.setattr(
                writer.time, "time_ns", lambda h=hours: (START_MS + h * HOUR_MS) * 1_000_000
            )
            for i in range(10):
                log.append([Entry("t", 0, None, b"%d/%d" % (hours, i))]).result(timeout=10)
    return log


EXPECTED = [b"%d/%d" % (hours, i) for hours in STEPS for i in range(10)]


def test_offsets_do_not_care_for_the_clock_and_times_are_what_it_said(stepped):
    done(stepped, Merging(stepped.reader, {"t": DAY_MS // 30}).steps())
    found = list(all_records(stepped, "t", 0, at_once=7))
    assert [offset for offset, _, _ in found] == list(range(len(EXPECTED)))
    assert [value for _, _, value in found] == EXPECTED
    records = stepped.read("t", 0, 0, 1_000)
    times_ms = [START_MS + hours * HOUR_MS for hours in STEPS for _ in range(10)]
    assert list(records.times_ms) == times_ms[: len(records)]


def test_retention_drops_what_is_old_and_no_more_than_an_hour_too_late(stepped):
    def retained(now_ms):
        done(stepped, retention_steps(stepped.reader, {"t": 1}, lambda *_: 1 << 39, now_ms))
        return len(list(all_records(stepped, "t", 0, stepped.bounds("t", 0)[0])))

    assert retained(START_MS + DAY_MS - HOUR_MS) == len(EXPECTED)
    assert retained(START_MS + DAY_MS + HOUR_MS + 1) == 0


def test_ids_are_unique_whatever_the_time():
    times_ms = [START_MS + hours * HOUR_MS for hours in STEPS]
    assert len({uuid7(time_ms) for time_ms in times_ms for _ in range(1_000)}) == 7_000


@pytest.fixture
def links(tmp_path):
    with (
        platform_in(tmp_path) as platform,
        platform.running(LinkGateway, LinkSettings(), public_url=PUBLIC_URL) as gateway,
        ExitStack() as opened,
    ):
        yield Api(platform, gateway, opened)


def test_requests_that_are_repeated_after_steps_make_one_link_and_every_click_counts(links):
    client = links.client("acme", *ALL_SCOPES)
    agent = f"User-Agent: {BROWSER}"
    keys, named, fresh, clicks = set(), set(), set(), 0
    for hours in STEPS:
        links.gateway.later_s = hours * HOUR_S
        repeated = {"json": {"long_url": TARGET}, "headers": {"Idempotency-Key": "once"}}
        keys.add(client.post("/api/v1/urls", **repeated).json()["key"])
        upserted = client.post("/api/v1/urls", json={"long_url": TARGET, "external_id": "one"})
        named.add(upserted.json()["key"])
        made = client.post("/api/v1/urls", json={"long_url": TARGET})
        assert made.status_code == 201, made.text
        fresh.add(made.json()["key"])
        (key,) = keys
        for _ in range(5):
            assert links.gateway.get(f"/{key}", agent).status == 302
            clicks += 1
        assert links.gateway.get(f"/{made.json()['key']}", agent).status == 302
    assert (len(keys), len(named), len(fresh)) == (1, 1, len(STEPS))
    eventually(lambda: humans(links, key) == clicks)
    for made in fresh:
        eventually(lambda key=made: humans(links, key) == 1)
    events = [event for made in {key, *fresh} for event in links.platform.clicks(made)]
    assert len({event.id for event in events}) == len(events) == clicks + len(STEPS)


def humans(links, key):
    totals = links.platform.counted(key)
    return totals and totals.humans


def test_a_link_that_expired_by_a_wrong_clock_works_again_by_the_right_one(links):
    client = links.client("acme", *ALL_SCOPES)
    key = client.post("/api/v1/urls", json={"long_url": TARGET, "ttl": 1_800}).json()["key"]
    for hours in STEPS:
        links.gateway.later_s = hours * HOUR_S
        assert links.gateway.get(f"/{key}").status == (410 if hours > 0 else 302)
