import math
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from linking import TARGET, Api, api_in, at_once, problem
from redirecting import eventually

from connectors.gateway.links.quotas import Rate
from connectors.gateway.links.settings import LinkSettings
from schemas.links import LinkCreationUnusual
from streams.addresses import client_block

URLS = "/api/v1/urls"
BULK = f"{URLS}/bulk"


def taken(rate: Rate, who: str, times: int, now_s: float) -> bool:
    """Take it if it is there."""
    if rate.wait_s(who, times, now_s) > 0:
        return False
    rate.take(who, times, now_s)
    return True


def test_a_rate_allows_so_many_at_once_and_then_one_by_one():
    rate = Rate(per_minute=3)
    assert [taken(rate, "a", 1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert rate.wait_s("a", 1, 0.0) == pytest.approx(20)
    assert not taken(rate, "a", 1, 19.9)
    assert taken(rate, "a", 1, 20.1)
    assert not taken(rate, "a", 1, 20.2)


def test_a_rate_counts_each_by_itself():
    rate = Rate(per_minute=1)
    assert [taken(rate, who, 1, 0.0) for who in ("a", "b", "a")] == [True, True, False]


def test_many_at_once_are_taken_together_or_not():
    rate = Rate(per_minute=10)
    assert [taken(rate, "a", n, 0.0) for n in (7, 4, 3)] == [True, False, True]
    assert not taken(Rate(per_minute=10), "a", 11, 0.0)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=60))
def test_over_any_time_no_more_is_taken_than_the_rate_and_a_minutes_worth_at_once(steps):
    rate, now_s = Rate(per_minute=6), 0.0
    done: list[float] = []
    for pause_s, times in steps:
        now_s += pause_s
        if taken(rate, "a", times, now_s):
            done += [now_s] * times
    for n, start in enumerate(done):
        assert all(m <= 6 + (end - start) / 10 + 1e-6 for m, end in enumerate(done[n:], 1))


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=30), st.integers(1, 6))
def test_whoever_waits_as_long_as_they_are_told_is_let_through(steps, times):
    rate, now_s = Rate(per_minute=6), 0.0
    for pause_s, before in steps:
        now_s += pause_s
        taken(rate, "a", before, now_s)
    assert taken(rate, "a", times, now_s + rate.wait_s("a", times, now_s))


def test_what_is_remembered_of_strangers_is_bounded(monkeypatch):
    monkeypatch.setattr("connectors.gateway.links.quotas._MAX_KNOWN", 10)
    rate = Rate(per_minute=1)
    for n in range(100):
        rate.take(n, 1, 0.0)
    assert [rate.wait_s(n, 1, 0.0) > 0 for n in (89, 90)] == [False, True]


def test_addresses_of_one_client_are_one_block():
    assert (
        client_block("2001:db8:1:2:3::4") == client_block("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    )
    assert client_block("::ffff:192.0.2.1") == client_block("192.0.2.1") == "192.0.2.1"
    assert client_block("unix") == "unix"


def make(client, count: int = 1, **headers: str):
    body = {"long_url": TARGET}
    if count == 1:
        return client.post(URLS, json=body, headers=headers)
    return client.post(BULK, json={"urls": [body] * count}, headers=headers)


def test_a_caller_who_makes_too_many_links_has_to_wait(tmp_path):
    with api_in(tmp_path, LinkSettings(creations_per_minute=3)) as api:
        assert [make(api.acme).status_code for _ in range(3)] == [201] * 3
        refused = make(api.acme)
        assert problem(refused) == (429, [])
        assert 1 <= int(refused.headers["retry-after"]) <= math.ceil(60 / 3)
        assert make(api.client("acme")).status_code == 201
        assert api.acme.get(URLS).status_code == 200


def test_links_of_a_bulk_count_one_by_one(tmp_path):
    with api_in(tmp_path, LinkSettings(creations_per_minute=5)) as api:
        never = make(api.acme, 6)
        assert (problem(never), "retry-after" in never.headers) == ((429, []), False)
        assert make(api.acme, 4).status_code == 201
        assert make(api.acme, 2).status_code == 429
        assert make(api.acme).status_code == 201


def test_new_targets_of_links_count_like_new_links(tmp_path):
    with api_in(tmp_path, LinkSettings(creations_per_minute=2)) as api:
        path = f"{URLS}/{make(api.acme).json()['key']}"
        assert api.acme.patch(path, json={"long_url": "https://example.org/"}).status_code == 200
        assert api.acme.patch(path, json={"long_url": "https://example.org/"}).status_code == 429
        assert api.acme.patch(path, json={"tags": ["x"]}).status_code == 200


def test_an_address_has_a_limit_whoever_calls_from_it(tmp_path):
    settings = LinkSettings(creations_per_minute_from_address=2)
    with api_in(tmp_path, settings, trusted_proxies=(ip_network("127.0.0.1"),)) as api:
        callers = [api.client(f"tenant{n}") for n in range(3)]
        answers = [make(c, **{"X-Forwarded-For": "192.0.2.1"}).status_code for c in callers]
        assert answers == [201, 201, 429]
        assert make(callers[2], **{"X-Forwarded-For": "192.0.2.2"}).status_code == 201


def test_a_request_that_came_too_soon_does_not_use_its_idempotency_key_up(tmp_path):
    with api_in(tmp_path, LinkSettings(creations_per_minute=1)) as api:
        make(api.acme)
        assert make(api.acme, **{"Idempotency-Key": "k"}).status_code == 429
        assert make(api.client("acme"), **{"Idempotency-Key": "k"}).status_code == 201


def test_a_tenant_has_so_many_links_and_no_more(tmp_path):
    with api_in(tmp_path, LinkSettings(max_links=5)) as api:
        keys = [make(api.acme).json()["key"] for _ in range(4)]
        full = make(api.acme, 2)
        assert (problem(full), full.json()["quota"]) == ((429, []), 5)
        assert make(api.acme).status_code == 201
        assert make(api.acme).status_code == 429
        assert make(api.client("other")).status_code == 201
        api.acme.delete(f"{URLS}/{keys[0]}")
        assert make(api.acme).status_code == 201


def test_the_quota_counts_what_is_there_after_a_start(tmp_path):
    with api_in(tmp_path) as api:
        make(api.acme, 3)
    with api_in(tmp_path, LinkSettings(max_links=3)) as api:
        assert make(api.acme).status_code == 429


def test_what_is_asked_for_again_needs_no_room(tmp_path):
    def ask(link: str, **headers: str) -> int:
        body = {"long_url": TARGET, "external_id": link}
        return api.acme.post(URLS, json=body, headers=headers).status_code

    def ask_many(*links: str) -> int:
        urls = [{"long_url": TARGET, "external_id": link} for link in links]
        return api.acme.post(BULK, json={"urls": urls}).status_code

    with api_in(tmp_path, LinkSettings(max_links=3)) as api:
        assert [ask("a"), ask("b")] == [201, 201]
        once = {"Idempotency-Key": "once"}
        made = make(api.acme, **once)
        assert made.status_code == 201
        assert make(api.acme, **once).json() == made.json()
        assert make(api.acme, **{"Idempotency-Key": "twice"}).status_code == 429
        assert (ask("a"), ask_many("a", "b")) == (200, 201)
        assert (ask("c"), ask_many("a", "c")) == (429, 429)
        api.acme.delete(f"{URLS}/{made.json()['key']}")
        assert (ask_many("a", "b", "c"), ask("d")) == (201, 429)
        # One that was deleted would be a new one.
        (link,) = api.acme.get(URLS, params={"external_id": "c"}).json()["urls"]
        api.acme.delete(f"{URLS}/{link['key']}")
        assert (ask("c"), ask("c"), ask("d")) == (201, 200, 429)


def alerts(api: Api) -> list[LinkCreationUnusual]:
    return api.events("link_alerts")


def test_a_caller_who_makes_unusually_many_links_is_told_of_once(tmp_path):
    with api_in(tmp_path, LinkSettings(usual_creations_per_minute=3)) as api:
        at_once([lambda: make(api.acme)] * 3)
        assert alerts(api) == []
        assert [make(api.acme).status_code for _ in range(3)] == [201] * 3
        (alert,) = eventually(lambda: alerts(api))
        assert (alert.reason, alert.per_minute, alert.user) == ("links", 3, None)
        make(api.client("acme"))
        assert len(alerts(api)) == 1


def test_a_caller_who_is_refused_many_targets_is_told_of(tmp_path):
    settings = LinkSettings(usual_refusals_per_minute=2, blocked_hosts=("evil.example",))
    with api_in(tmp_path, settings) as api:
        evil = {"long_url": "https://evil.example/"}
        for _ in range(2):
            assert api.acme.post(URLS, json=evil).status_code == 400
        assert alerts(api) == []
        api.acme.post(BULK, json={"urls": [evil, evil]})
        (alert,) = eventually(lambda: alerts(api))
        assert (alert.reason, alert.per_minute) == ("refusals", 2)


def test_what_is_unusual_refuses_nothing_while_the_log_is_down(tmp_path):
    with api_in(tmp_path, LinkSettings(usual_refusals_per_minute=1)) as api:
        api.gateway.log.refuses = True
        bad = {"long_url": "ftp://example.com/"}
        assert [api.acme.post(URLS, json=bad).status_code for _ in range(3)] == [400] * 3
