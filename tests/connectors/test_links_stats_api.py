from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from linking import Api, api_in, problem
from redirecting import BROWSER, eventually

from connectors.gateway.links.stats import Granularity, Range, stats
from schemas.ids import uuid7
from schemas.links import LinkClicked
from streams.errors import RuleBroken
from streams.links.rules import LinkTerms
from streams.links.stats import DIMENSIONS, MAX_VALUES
from streams.links.views import OTHER, DayCounts, Link, LinkDay
from streams.sealing import Origin

URLS = "/api/v1/urls"
LINK = Link("k", "acme", "c", "c", "https://example.com/", LinkTerms(), 1_770_000_000_000)


def within(since: str, until: str, granularity: Granularity = Granularity.DAY) -> Range:
    today = date(2026, 5, 31)
    return Range.of(date.fromisoformat(since), date.fromisoformat(until), granularity, today)


def counted(day: str, hour: int = 0, **counts) -> LinkDay:
    hours = [0] * 24
    hours[hour] = counts.get("humans", 0)
    return LinkDay("k", day, DayCounts(hours=hours, **counts))


def series(days: list[LinkDay], range_: Range) -> list[dict]:
    return msgspec.to_builtins(stats(LINK, None, days, range_, ()).series)


def test_days_without_clicks_are_zero():
    days = [counted("2026-05-02", humans=3, uniques=2, bots=1, previews=4)]
    zero = {"clicks": 0, "uniques": 0, "bots": 0, "previews": 0}
    assert series(days, within("2026-05-01", "2026-05-03")) == [
        {"start": "2026-05-01", **zero},
        {"start": "2026-05-02", "clicks": 3, "uniques": 2, "bots": 1, "previews": 4},
        {"start": "2026-05-03", **zero},
    ]


def test_hours_have_the_clicks_of_humans():
    days = [counted("2026-05-02", hour=13, humans=3, bots=9)]
    hours = series(days, within("2026-05-02", "2026-05-02", Granularity.HOUR))
    assert len(hours) == 24
    assert hours[13] == {"start": "2026-05-02T13:00:00Z", "clicks": 3}
    assert sum(hour["clicks"] for hour in hours) == 3


def test_months_add_up_their_days_within_the_range():
    days = [
        counted("2026-01-30", humans=1, uniques=1),
        counted("2026-01-31", humans=2, uniques=1, bots=1),
        counted("2026-03-01", humans=4, uniques=4),
        counted("2026-03-02", humans=100),
    ]
    months = series(days, within("2026-01-30", "2026-03-01", Granularity.MONTH))
    assert [(m["start"], m["clicks"], m["uniques"], m["bots"]) for m in months] == [
        ("2026-01", 3, 2, 1),
        ("2026-02", 0, 0, 0),
        ("2026-03", 4, 4, 0),
    ]


def test_values_are_added_over_the_days_and_the_most_frequent_come_first():
    days = [
        counted("2026-05-01", by={"country": {"DE": 1, "FR": 2}}),
        counted("2026-05-02", by={"country": {"DE": 3}, "os": {"Linux": 1}}),
    ]
    found = stats(LINK, None, days, within("2026-05-01", "2026-05-02"), ["country", "referrer"])
    assert found.by == {"country": {"DE": 4, "FR": 2}, "referrer": {}}
    assert list(found.by["country"]) == ["DE", "FR"]


def test_the_less_frequent_of_very_many_values_are_added_up():
    values = {f"r{n}": 1 for n in range(MAX_VALUES)} | {"top": 5, OTHER: 7}
    days = [counted("2026-05-01", by={"referrer": values})]
    found = stats(LINK, None, days, within("2026-05-01", "2026-05-01"), ["referrer"])
    by = found.by["referrer"]
    assert (by["top"], by[OTHER]) == (5, 9)
    assert sum(by.values()) == sum(values.values())


def test_a_range_is_the_last_thirty_days_unless_it_is_given():
    today = date(2026, 5, 31)
    default = Range.of(None, None, Granularity.DAY, today)
    assert (default.since, default.until) == (date(2026, 5, 2), today)
    assert Range.of(date(2026, 5, 30), None, Granularity.DAY, today).length == 2
    assert Range.of(None, date(2026, 1, 30), Granularity.DAY, today).since == date(2026, 1, 1)


@pytest.mark.parametrize(
    "since,until,granularity",
    [
        ("2026-05-02", "2026-05-01", Granularity.DAY),
        ("2010-01-01", "2026-05-01", Granularity.DAY),
        ("2026-01-01", "2026-02-01", Granularity.HOUR),
        ("0001-01-01", "0001-01-02", Granularity.DAY),
    ],
)
def test_ranges_that_cannot_be_are_refused(since, until, granularity):
    with pytest.raises(RuleBroken):
        within(since, until, granularity)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with api_in(tmp_path_factory.mktemp("stats")) as api:
        yield api


def shown(api: Api, key: str, **params):
    answer = api.acme.get(f"{URLS}/{key}/stats", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def click(api: Api, key: str, time: datetime, **fields) -> None:
    """A click at some other time; the statistics have it when this returns."""
    before = shown(api, key)["clicks"]
    origin = Origin(source="test", tenant="acme", time=time)
    entry = api.platform.sealer.entry(LinkClicked(key, "v", **fields), origin, uuid7(0))
    api.platform.log.append([entry]).result(timeout=5)
    eventually(lambda: shown(api, key)["clicks"] > before)


def test_a_link_that_nobody_has_followed_has_zeros(api: Api):
    link = api.make()
    found = shown(api, link["key"])
    today = datetime.now(UTC).date()
    assert found["created_at"] == link["created_at"]
    assert (found["clicks"], found["bots"], found["previews"]) == (0, 0, 0)
    assert found["last_accessed"] is None
    assert found["until"] == today.isoformat()
    assert len(found["series"]) == 30
    assert {point["clicks"] for point in found["series"]} == {0}
    assert found["by"] == {dimension: {} for dimension in DIMENSIONS}


def test_clicks_over_http_are_counted_by_kind_and_dimension(api: Api):
    key = api.make()["key"]
    gateway = api.gateway
    for _ in range(3):
        gateway.get(
            f"/{key}?utm_source=mail", f"User-Agent: {BROWSER}", "Referer: https://a.example/x"
        )
    gateway.get(f"/{key}", "User-Agent: Googlebot/2.1 (+http://www.google.com/bot.html)")
    found = eventually(lambda: (s := shown(api, key))["clicks"] == 3 and s["bots"] == 1 and s)
    today = found["series"][-1]
    assert (today["clicks"], today["uniques"], today["bots"]) == (3, 1, 1)
    assert found["by"]["referrer"] == {"a.example": 3}
    assert found["by"]["utm_source"] == {"mail": 3}
    assert found["by"]["browser"] == {"Firefox": 3}
    accessed = datetime.fromisoformat(found["last_accessed"])
    assert abs(datetime.now(UTC) - accessed) < timedelta(minutes=1)


def test_a_range_has_only_its_own_clicks(api: Api):
    key = api.make()["key"]
    for day in (1, 2, 2, 9, 10):
        click(api, key, datetime(2026, 3, day, 23, 59, tzinfo=UTC), country=f"C{day}")
    found = shown(api, key, since="2026-03-02", until="2026-03-09", by="country")
    assert [point["clicks"] for point in found["series"]] == [2, 0, 0, 0, 0, 0, 0, 1]
    assert found["by"] == {"country": {"C2": 2, "C9": 1}}
    assert found["clicks"] == 5
    hourly = shown(api, key, since="2026-03-10", until="2026-03-10", granularity="hour")
    assert hourly["series"][23] == {"start": "2026-03-10T23:00:00Z", "clicks": 1}
    months = shown(api, key, since="2026-02-01", until="2026-03-31", granularity="month")
    assert [point["clicks"] for point in months["series"]] == [0, 5]


def test_several_dimensions_can_be_asked_for(api: Api):
    key = api.make()["key"]
    assert shown(api, key, by=["os", "device"])["by"] == {"os": {}, "device": {}}


def test_statistics_are_no_older_than_a_click_that_is_known(api: Api):
    key = api.make()["key"]
    origin = Origin(source="test", tenant="acme", time=datetime.now(UTC))
    for n in range(1, 6):
        entry = api.platform.sealer.entry(LinkClicked(key, f"v{n}"), origin, uuid7(0))
        (position,) = api.platform.log.append([entry]).result(timeout=5)
        after = {"Sixfold-After": str(position)}
        assert api.acme.get(f"{URLS}/{key}/stats", headers=after).json()["clicks"] == n


BAD = [
    ({"since": "x"}, "since"),
    ({"since": "2026-13-01"}, "since"),
    ({"since": "2026-05-02", "until": "2026-05-01"}, "since"),
    ({"since": "0001-01-01"}, "since"),
    ({"until": "0001-01-01"}, "until"),
    ({"granularity": "week"}, "granularity"),
    ({"by": "colour"}, "by"),
]


@pytest.mark.parametrize("params,field", BAD, ids=str)
def test_what_cannot_be_counted_is_refused_by_its_field(api: Api, params, field):
    key = api.make()["key"]
    assert problem(api.acme.get(f"{URLS}/{key}/stats", params=params)) == (400, [field])


def test_the_last_days_of_the_calendar_can_be_asked_for(api: Api):
    found = shown(api, api.make()["key"], since="9999-12-31", until="9999-12-31")
    assert [point["start"] for point in found["series"]] == ["9999-12-31"]
