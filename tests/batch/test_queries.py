from datetime import UTC, datetime, timedelta

import pytest
from lake_events import append, refused, value

from batch.archive import archive
from batch.engine import Engine
from batch.errors import UnknownQuery
from batch.lake import Lake
from batch.queries import queries, query
from schemas.links import LinkClicked
from sixfold.wiring import CATALOG

MIDNIGHT = datetime(2024, 5, 17, tzinfo=UTC)


@pytest.fixture
def run(tmp_path, log):
    """Runs a shipped query, on clicks of which some are archived."""
    log.create(CATALOG.topics.values())
    lake = Lake(tmp_path / "platform", CATALOG)
    phone = {"country": "DE", "device": "mobile", "browser": "Firefox", "os": "Android"}
    clicks = [
        LinkClicked("abc", "ann", **phone),
        LinkClicked("abc", "ann", **phone),
        LinkClicked("abc", "bob", referrer="example.org"),
        LinkClicked("xyz", "bot", kind="bot", referrer="example.org"),
    ]
    for hours, click in enumerate(clicks):
        time = MIDNIGHT + timedelta(hours=20 + 2 * hours)
        record = value(click, CATALOG, id=f"{hours}", tenant="acme", time=time)
        append(log, "clicks", hours % 2, record)
        if hours == 1:
            archive(lake, log)

    def rows(name):
        with Engine(lake, log) as engine:
            return engine.sql(query(name).sql).read_all().to_pylist()

    return rows


@pytest.mark.parametrize("shipped", queries(), ids=lambda shipped: shipped.name)
def test_every_shipped_query_runs_and_says_what_it_shows(shipped, run):
    assert shipped.description.endswith(".")
    assert run(shipped.name)


def test_clicks_by_day(run):
    assert run("links/clicks_by_day") == [
        {"date": MIDNIGHT.date(), "clicks": 2, "human_clicks": 2, "visitors": 1},
        {"date": MIDNIGHT.date() + timedelta(1), "clicks": 2, "human_clicks": 1, "visitors": 1},
    ]


def test_top_links(run):
    (row,) = run("links/top_links")
    assert row["last_clicked"] == MIDNIGHT + timedelta(days=1)
    assert (row["tenant"], row["link"], row["human_clicks"], row["visitors"]) == (
        "acme",
        "abc",
        3,
        2,
    )


def test_referrers(run):
    (row,) = run("links/referrers")
    assert (row["referrer"], row["human_clicks"]) == ("example.org", 1)


def test_clicks_by_country(run):
    assert run("links/clicks_by_country") == [
        {"country": "DE", "human_clicks": 2, "visitors": 1},
        {"country": None, "human_clicks": 1, "visitors": 1},
    ]


def test_clicks_by_device(run):
    assert run("links/clicks_by_device") == [
        {"device": "mobile", "os": "Android", "human_clicks": 2},
        {"device": None, "os": None, "human_clicks": 1},
    ]


def test_clicks_by_referrer(run):
    assert run("links/clicks_by_referrer") == [
        {"referrer": None, "human_clicks": 2},
        {"referrer": "example.org", "human_clicks": 1},
    ]


def test_uniques_by_day(run):
    first, second = MIDNIGHT.date(), MIDNIGHT.date() + timedelta(1)
    assert run("links/uniques_by_day") == [
        {"date": first, "tenant": "acme", "link": "abc", "visitors": 1},
        {"date": second, "tenant": "acme", "link": "abc", "visitors": 1},
    ]


def test_bots(run):
    second = MIDNIGHT.date() + timedelta(1)
    assert run("links/bots") == [{"date": second, "kind": "bot", "clicks": 1, "links": 1}]


def test_audience(run):
    assert run("links/audience") == [
        {"country": "DE", "device": "mobile", "browser": "Firefox", "human_clicks": 2},
        {"country": None, "device": None, "browser": None, "human_clicks": 1},
    ]


def test_events_by_hour(run):
    rows = run("platform/events_by_hour")
    assert [row["events"] for row in rows] == [1, 1, 1, 1]
    assert {(row["topic"], row["type"]) for row in rows} == {("clicks", "link.clicked")}
    assert rows[0]["hour"] == MIDNIGHT + timedelta(hours=20)


def test_a_query_has_a_name_a_description_and_sql():
    shipped = query("links/clicks_by_day")
    assert shipped.description.startswith("Clicks per day")
    assert "GROUP BY date" in shipped.sql


def test_a_query_that_is_not_there_is_an_error_that_lists_those_that_are():
    with refused(UnknownQuery, "links/nothing", "links/clicks_by_day"):
        query("links/nothing")
