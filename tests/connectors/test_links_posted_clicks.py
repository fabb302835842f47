"""Clicks that somebody else has seen: posted as events, counted as the gateway's own."""

from collections.abc import Iterator

import httpx
import pytest
from linking import Api, api_in
from redirecting import BROWSER, eventually

from schemas.ids import uuid7

EVENTS = "/api/v1/events"
SCOPES = ("events:write", "links:read")


@pytest.fixture(scope="module")
def api(tmp_path_factory) -> Iterator[Api]:
    with api_in(tmp_path_factory.mktemp("posted")) as api:
        yield api


@pytest.fixture(scope="module")
def acme(api: Api) -> httpx.Client:
    return api.client("acme", *SCOPES)


@pytest.fixture(scope="module")
def globex(api: Api) -> httpx.Client:
    return api.client("globex", *SCOPES)


def click(link: str, visitor: str = "v1", id: str | None = None, **data) -> dict:
    event = {"type": "link.clicked", "data": {"link": link, "visitor": visitor, **data}}
    return event | ({"id": id} if id else {})


def post(client: httpx.Client, *clicks: dict) -> str:
    """Post clicks of one link; the position of the last."""
    answer = client.post(EVENTS, json=list(clicks))
    assert answer.status_code == 202, answer.text
    position: str = answer.json()["events"][-1]["position"]
    return position


def shown(client: httpx.Client, link: str, after: str) -> dict:
    """The statistics of a link, with what was appended up to a position."""
    answer = client.get(f"/api/v1/urls/{link}/stats", headers={"Sixfold-After": after})
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    return found


def test_posted_clicks_are_counted_beside_the_gateways_own(api: Api, acme: httpx.Client):
    link = api.make()["key"]
    api.gateway.get(f"/{link}", f"User-Agent: {BROWSER}")
    eventually(lambda: api.platform.clicks(link))
    after = post(
        acme,
        click(link, "a", country="DE", referrer="news.example"),
        click(link, "a"),
        click(link, "b", kind="bot"),
    )
    found = shown(acme, link, after)
    assert (found["clicks"], found["bots"], found["series"][-1]["uniques"]) == (3, 1, 2)
    assert (found["by"]["country"], found["by"]["referrer"]) == ({"DE": 1}, {"news.example": 1})


def test_a_click_that_is_posted_again_counts_once(api: Api, acme: httpx.Client):
    link, id = api.make()["key"], uuid7(0)
    post(acme, click(link, id=id), click(link, id=id))
    after = post(acme, click(link, id=id))
    assert shown(acme, link, after)["clicks"] == 1


def test_the_same_id_of_another_tenant_hides_nothing(
    api: Api, acme: httpx.Client, globex: httpx.Client
):
    link, id = api.make()["key"], uuid7(0)
    post(globex, click(link, id=id))
    assert shown(acme, link, post(acme, click(link, id=id)))["clicks"] == 1


def test_a_posted_click_uses_a_link_up(api: Api, acme: httpx.Client):
    link = api.make(max_clicks=2)["key"]
    post(acme, click(link), click(link))
    eventually(lambda: api.gateway.get(f"/{link}").status == 410)


def test_clicks_of_another_tenants_link_count_for_nothing_and_tell_nothing(
    api: Api, acme: httpx.Client, globex: httpx.Client
):
    link = api.make(max_clicks=2)["key"]
    missing = f"{link[:-1]}-"
    answers = [globex.post(EVENTS, json=[click(key, "x")] * 3) for key in (link, missing)]
    assert [answer.status_code for answer in answers] == [202, 202]
    told = [{name for event in a.json()["events"] for name in event} for a in answers]
    assert told[0] == told[1]
    after = answers[0].json()["events"][-1]["position"]
    for key in (link, missing):
        seen = globex.get(f"/api/v1/urls/{key}/stats", headers={"Sixfold-After": after})
        assert seen.status_code == 404
    assert shown(acme, link, after)["clicks"] == 0
    found = shown(acme, link, post(acme, click(link, "x")))
    assert (found["clicks"], found["series"][-1]["uniques"]) == (1, 1)
    assert api.gateway.get(f"/{link}").status == 302


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("link", ""),
        ("link", "x" * 65),
        ("visitor", ""),
        ("visitor", "x" * 65),
        ("visitor", "192.0.2.7"),
        ("visitor", "2001:db8::7"),
        ("visitor", "ann@example.com"),
        ("kind", "robot"),
        ("country", "Germany"),
        ("referrer", "https://example.com/inbox?user=ann"),
        ("browser", "x" * 101),
        ("utm_term", "x" * 101),
        ("address", "192.0.2.7"),
    ],
)
def test_what_a_click_may_not_say_is_refused_by_its_field(acme: httpx.Client, field, value):
    event = click("sale")
    event["data"] |= {field: value}
    answer = acme.post(EVENTS, json=event)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [f"data.{field}"]
    assert "regex" not in answer.text
