from datetime import UTC, datetime

import pytest
from folding import NOW, Folding, days

from schemas.links import LinkChanged, LinkClicked, LinkRequested, LinkUsedUp
from streams.links import stats
from streams.links.views import OTHER, DayCounts, LinkDay, LinkTotals, Popular

URL = "https://example.com/"
DAY = "2026-05-01"


def click(visitor: str = "v1", link: str = "sale", **fields) -> LinkClicked:
    return LinkClicked(link, visitor, **fields)


def counts(folding: Folding, day: str = DAY, link: str = "sale") -> DayCounts:
    return folding.row(LinkDay, link, day).counts


def test_clicks_are_counted_by_kind():
    folding = Folding(stats).fold(
        click(), click("v2"), click(kind="bot"), click(kind="bot"), click(kind="preview")
    )
    found = counts(folding)
    assert (found.humans, found.bots, found.previews) == (2, 2, 1)
    now_ms = int(NOW.timestamp() * 1000)
    assert folding.row(LinkTotals, "sale") == LinkTotals("sale", 2, 2, 1, now_ms)


def test_only_human_clicks_count_by_hour_and_dimension_and_as_visitors():
    folding = Folding(stats).fold(
        click(country="DE", browser="Firefox", utm_source="mail"),
        click("v2", country="DE"),
        click("v3", kind="bot", country="FR"),
    )
    found = counts(folding)
    assert found.hours == [0] * 12 + [2] + [0] * 11
    assert found.by == {"country": {"DE": 2}, "browser": {"Firefox": 1}, "utm_source": {"mail": 1}}
    assert found.uniques == 2


def test_a_link_that_only_bots_have_followed_was_not_accessed():
    folding = Folding(stats).fold(click(kind="bot"))
    assert folding.row(LinkTotals, "sale").last_ms is None


def test_the_last_click_is_the_newest_and_not_the_last_that_came():
    folding = Folding(stats).fold(click()).fold(click(), at=NOW - days(1))
    assert folding.row(LinkTotals, "sale").last_ms == int(NOW.timestamp() * 1000)


def test_a_visitor_is_unique_once_a_day_and_link():
    folding = Folding(stats).fold(click(), click(), click("v2"), click(link="other"))
    folding.fold(click(), at=NOW + days(1))
    assert counts(folding).uniques == 2
    assert counts(folding, link="other").uniques == 1
    assert counts(folding, "2026-05-02").uniques == 1


def test_visitors_of_yesterday_are_still_known_and_older_ones_are_forgotten():
    folding = Folding(stats).fold(click()).fold(click(), at=NOW + days(1))
    folding.fold(click(), at=NOW)
    assert counts(folding).uniques == 1
    folding.fold(click(), at=NOW + days(4))
    assert len(folding.state.visitors) == 1


def test_days_are_those_of_the_clicks_in_utc():
    folding = Folding(stats).fold(click(), at=datetime(2026, 5, 1, 23, 59, 59, tzinfo=UTC))
    folding.fold(click(), at=datetime(2026, 5, 2, tzinfo=UTC))
    assert [key[1] for key in folding.keys(LinkDay)] == ["2026-05-01", "2026-05-02"]


def test_counts_that_another_batch_holds_do_not_change():
    folding = Folding(stats).fold(click(country="DE"))
    before = counts(folding)
    folding.fold(click("v2", country="DE"))
    assert (before.humans, before.by, sum(before.hours)) == (1, {"country": {"DE": 1}}, 1)
    assert counts(folding).by == {"country": {"DE": 2}}


def test_values_beyond_the_limit_count_as_others():
    clicks = [click(f"v{n}", referrer=f"r{n}.example") for n in range(stats.MAX_VALUES + 5)]
    referrers = counts(Folding(stats).fold(*clicks)).by["referrer"]
    assert (len(referrers), referrers[OTHER]) == (stats.MAX_VALUES + 1, 5)


def test_a_link_is_used_up_with_its_last_click():
    folding = Folding(stats).fold(LinkRequested("sale", URL, max_clicks=2))
    folding.fold(click(), click(kind="bot"))
    assert folding.emitted == []
    folding.fold(click(), click())
    assert folding.emitted == [LinkUsedUp("sale", 2)]


def test_only_the_first_claim_of_a_key_sets_its_cap():
    folding = Folding(stats).fold(LinkRequested("sale", URL))
    folding.fold(LinkRequested("sale", URL, max_clicks=1), tenant="other").fold(click())
    assert folding.emitted == []


def test_a_raised_cap_is_used_up_later():
    folding = Folding(stats).fold(LinkRequested("sale", URL, max_clicks=1)).fold(click())
    folding.fold(LinkChanged("sale", URL, max_clicks=2)).fold(click())
    assert folding.emitted == [LinkUsedUp("sale", 1), LinkUsedUp("sale", 2)]


@pytest.mark.parametrize("cap", [2, 3])
def test_a_cap_that_is_set_below_what_was_clicked_is_used_up_at_once(cap):
    folding = Folding(stats).fold(LinkRequested("sale", URL)).fold(click(), click(), click())
    folding.fold(LinkChanged("sale", URL, max_clicks=cap))
    assert folding.emitted == [LinkUsedUp("sale", cap)]


def test_clicks_that_are_folded_before_the_claim_use_a_link_up_too():
    folding = Folding(stats).fold(click(), click()).fold(LinkRequested("sale", URL, max_clicks=2))
    assert folding.emitted == [LinkUsedUp("sale", 2)]


def test_nobody_caps_another_tenants_link():
    folding = Folding(stats).fold(LinkRequested("sale", URL))
    folding.fold(LinkChanged("sale", URL, max_clicks=1), tenant="other").fold(click())
    assert folding.emitted == []


OTHERS = {"tenant": "other"}


def test_a_posted_click_of_another_tenants_link_counts_for_nothing():
    folding = Folding(stats).fold(LinkRequested("sale", URL, max_clicks=2)).fold(click())
    before = folding.rows, len(folding.state.visitors)
    folding.fold(click("v2"), click("v3", country="DE"), click(kind="bot"), **OTHERS)
    assert (folding.rows, len(folding.state.visitors)) == before
    assert folding.emitted == []
    folding.fold(click("v2"))
    assert (counts(folding).humans, counts(folding).uniques) == (2, 2)
    assert folding.emitted == [LinkUsedUp("sale", 2)]


def test_nor_does_one_that_is_folded_before_the_claim():
    folding = Folding(stats).fold(click(), click("v2"), **OTHERS).fold(click())
    folding.fold(LinkRequested("sale", URL, max_clicks=2))
    folding.fold(click("v9"), **OTHERS)
    assert (counts(folding).humans, counts(folding).uniques) == (1, 1)
    assert folding.row(LinkTotals, "sale").humans == 1
    assert folding.emitted == []
    folding.fold(click("v2"))
    assert counts(folding).uniques == 2
    assert folding.emitted == [LinkUsedUp("sale", 2)]


@pytest.mark.parametrize("claim_after", range(4))
def test_whenever_the_claim_is_folded_the_owner_sees_the_same(claim_after: int):
    steps = [("acme", "v1"), ("other", "v2"), ("acme", "v2")]
    folding = Folding(stats)
    for n in range(len(steps) + 1):
        if n == claim_after:
            folding.fold(LinkRequested("sale", URL, max_clicks=2))
        if n < len(steps):
            tenant, visitor = steps[n]
            folding.fold(click(visitor), tenant=tenant)
    assert (counts(folding).humans, counts(folding).uniques) == (2, 2)
    assert folding.row(Popular, 0).links == ("sale",)
    assert folding.emitted == [LinkUsedUp("sale", 2)]


def test_visitors_of_all_tenants_are_forgotten():
    folding = Folding(stats).fold(click()).fold(click(link="others"), **OTHERS)
    folding.fold(click(), at=NOW + days(4))
    assert len(folding.state.visitors) == 1


def test_a_link_is_popular_by_the_clicks_of_its_owner_alone():
    folding = Folding(stats).fold(click(), click(link="nobodys"))
    folding.fold(*[click(f"v{n}") for n in range(9)], **OTHERS)
    assert folding.row(Popular, 0) is None
    folding.fold(LinkRequested("sale", URL))
    assert folding.row(Popular, 0).links == ("sale",)
    assert list(folding.state.popular.items()) == [("", "sale", 1)]
    folding.fold(click(), **OTHERS)
    assert list(folding.state.popular.items()) == [("", "sale", 1)]


def test_the_most_clicked_links_are_popular(monkeypatch):
    monkeypatch.setattr(stats, "MAX_POPULAR", 2)
    folding = Folding(stats).fold(*[LinkRequested(link, URL) for link in "abc"])
    folding.fold(click(link="a"), click(link="b"), click(link="c"))
    assert folding.row(Popular, 0).links == ("a", "b")
    folding.fold(click(link="c"), click(link="b"))
    assert folding.row(Popular, 0).links == ("b", "c")
    folding.fold(click(link="a"), click(link="a"), click(link="a", kind="bot"))
    assert folding.row(Popular, 0).links == ("a", "c")


def test_popular_links_are_written_only_when_they_change():
    folding = Folding(stats).fold(LinkRequested("sale", URL)).fold(click())
    before = folding.row(Popular, 0)
    folding.fold(click(), click())
    assert before is not None
    assert folding.row(Popular, 0) is before
