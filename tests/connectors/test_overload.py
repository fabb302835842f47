"""Bounds that are asked before a write is taken."""

from contextlib import ExitStack, contextmanager
from itertools import count

import pytest
from api import running
from linking import ALL_SCOPES, PUBLIC_URL, TARGET, LinkGateway
from linking import Api as LinksApi
from redirecting import BROWSER, FOLDS, eventually, platform_in
from test_gateway_events import vote

from connectors.gateway.links.settings import LinkSettings
from connectors.gateway.overload import Bounds, Load, Overload, excesses
from connectors.store.lag import lags
from schemas.links import LinkClicked
from streams.errors import LogUnavailable

BOUNDS = Bounds(max_queue_bytes=10 << 20, max_lag_records=1_000)
MB = 1 << 20


def lagging(records):
    return Load(lags={("links", "links"): 3, ("links-stats", "clicks"): records})


# What is too much


def test_nothing_is_too_much_of_nothing():
    assert excesses(Load(), BOUNDS, ()) == {}


@pytest.mark.parametrize(
    ("load", "reason", "says"),
    [
        (Load(5 * MB, has_room=False), "disk", "the log's disk is nearly full, 5 MB are free"),
        (Load(queue_bytes=12 * MB), "queue", "12 MB wait to be committed, and 10 MB may"),
        (
            lagging(1_200),
            "lag",
            "the fold links-stats is 1,200 records behind, and 1,000 may wait",
        ),
    ],
)
def test_each_bound_says_what_there_is_too_much_of(load, reason, says):
    assert excesses(load, BOUNDS, ()) == {reason: says}


def test_a_fold_lags_by_all_that_its_topics_have_for_it():
    both = Load(lags={("links-stats", "clicks"): 500, ("links-stats", "links"): 500})
    assert "1,000 records behind" in excesses(both, BOUNDS, ())["lag"]
    assert excesses(Load(lags={("a", "t"): 999, ("b", "t"): 999}), BOUNDS, ()) == {}


@pytest.mark.parametrize(
    ("records", "before", "is_too_much"),
    [(999, (), False), (999, ("lag",), True), (799, ("lag",), False), (999, ("queue",), False)],
)
def test_what_was_too_much_is_so_until_there_is_clearly_less(records, before, is_too_much):
    assert ("lag" in excesses(lagging(records), BOUNDS, before)) == is_too_much


class World:
    """A load that can be set, and a clock."""

    def __init__(self):
        self.load = Load()
        self.looks = 0
        self.now_s = 0.0
        self.overload = Overload(self.look, BOUNDS, lambda: self.now_s)

    def look(self):
        self.looks += 1
        if isinstance(self.load, Exception):
            raise self.load
        return self.load

    def reasons(self):
        self.now_s += 1.0
        return dict(self.overload.reasons())


def test_it_looks_ten_times_a_second_at_most():
    world = World()
    for step in range(1_001):
        world.now_s = step / 1_000
        world.overload.reasons()
    assert world.looks <= 11


def test_it_ends_by_itself():
    world = World()
    assert world.reasons() == {}
    world.load = lagging(1_000)
    assert set(world.reasons()) == {"lag"}
    world.load = lagging(900)
    assert "900 records behind" in world.reasons()["lag"]
    world.load = lagging(10)
    assert world.reasons() == {}
    world.load = lagging(900)
    assert world.reasons() == {}


def test_a_log_that_cannot_be_read_takes_no_writes():
    world = World()
    world.load = LogUnavailable("/secret/path is damaged")
    assert world.reasons() == {"log": "the log cannot be read"}


# Over HTTP


@pytest.fixture
def world():
    return World()


@pytest.fixture
def api(tmp_path, world):
    with running(tmp_path, deps={"overload": world.overload}) as api:
        yield api


@contextmanager
def overloaded(world, load):
    before, world.load = world.load, load
    world.now_s += 1
    yield
    world.load = before
    world.now_s += 1


def test_writes_are_refused_before_they_are_looked_at_and_the_rest_goes_on(api, world):
    ends = [api.log.bounds("polls", p)[1] for p in range(2)]
    with overloaded(world, lagging(2_000)):
        for body in (vote(), [vote()] * 50, "malformed"):
            answer = api.client.post("/api/v1/events", json=body)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "5"
            problem = answer.json()
            assert "the fold links-stats is 2,000 records behind" in problem["detail"]
            assert set(problem["reasons"]) == {"lag"}
        assert api.client.get("/api/v1/keys").status_code == 200
        assert api.new_key("acme", "events:write")
        assert api.as_(None).post("/api/v1/events", json=vote()).status_code == 401
        assert api.as_(None).get("/health/live").status_code == 200
    assert [api.log.bounds("polls", p)[1] for p in range(2)] == ends
    assert api.client.post("/api/v1/events", json=vote()).status_code == 202


def test_a_gateway_that_refuses_writes_is_not_ready_and_says_why(api, world):
    with overloaded(world, Load(3 * MB, False, 20 * MB, {("links", "links"): 5_000})):
        answer = api.as_(None).get("/health/ready")
        assert answer.status_code == 503
        assert set(answer.json()["reasons"]) == {"disk", "queue", "lag"}
    assert api.as_(None).get("/health/ready").status_code == 200


def test_metrics_show_what_there_is_to_bear(api, world):
    with overloaded(world, Load(7, True, 8, {("links", "links"): 9})):
        shown = api.as_(None).get("/metrics").text
    assert "\nsixfold_log_free_bytes 7.0\n" in shown
    assert "\nsixfold_log_queue_bytes 8.0\n" in shown
    assert '\nsixfold_fold_lag_records{fold="links",topic="links"} 9.0\n' in shown


# With folds that do not keep up


class BoundGateway(LinkGateway):
    """A gateway that takes writes while no fold is 50 records behind."""

    def __init__(self, *args):
        super().__init__(*args)
        bounds = Bounds(max_lag_records=50)
        ever_later = count().__next__
        self.overload = Overload(lambda: Load(lags=lags(self.log, FOLDS)), bounds, ever_later)


@pytest.fixture
def links(tmp_path):
    with (
        platform_in(tmp_path) as platform,
        platform.running(BoundGateway, LinkSettings(), public_url=PUBLIC_URL) as gateway,
        ExitStack() as opened,
    ):
        yield LinksApi(platform, gateway, opened)


def test_while_folds_lag_links_are_read_and_followed_but_not_made(links):
    key = links.make(custom_alias="before")["key"]
    client = links.client("acme", *ALL_SCOPES)
    links.platform.folds_rest = True
    links.platform.append(*[LinkClicked("before", "0" * 16)] * 60)
    for path, body in (
        ("/api/v1/urls", {"long_url": TARGET}),
        ("/api/v1/urls/bulk", {"urls": [{"long_url": TARGET}]}),
    ):
        refused = client.post(path, json=body)
        assert refused.status_code == 503, refused.text
        assert "the fold links-stats is 60 records behind, and 50 may wait" in refused.text
    assert client.patch(f"/api/v1/urls/{key}", json={"tags": ["x"]}).status_code == 503
    assert client.get(f"/api/v1/urls/{key}").status_code == 200
    assert links.gateway.get(f"/{key}", f"User-Agent: {BROWSER}").status == 302
    assert '{fold="links-stats",topic="clicks"} 6' in client.get("/metrics").text

    links.platform.folds_rest = False
    eventually(lambda: client.post("/api/v1/urls", json={"long_url": TARGET}).status_code == 201)
    assert client.get("/health/ready").status_code == 200
    eventually(lambda: links.platform.counted("before").humans == 61)
