import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_network
from urllib.parse import quote

import jwt
import pytest
from argon2 import PasswordHasher
from prometheus_client import REGISTRY
from redirecting import BROWSER, KEYS, TARGET, Gateway, eventually, platform_in

from connectors.gateway.links.settings import LinkSettings
from connectors.log.spiller import SpillSettings
from schemas.access import SigningKeyAdded
from schemas.links import BlockGranted, LinkChanged, LinkDeleted, LinkRequested, LinkUsedUp
from streams.access.views import SigningKey

SECRET = b"a secret that is long enough for HS256"
PASSWORD = "open sesame & more"
HASH = PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)
AGENT = f"User-Agent: {BROWSER}"
HTML = "Accept: text/html,application/xhtml+xml"


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with platform_in(tmp_path_factory.mktemp("data")) as platform:
        platform.vault.put_secret("acme", "jwt", SECRET)
        platform.vault.put_secret("other", "jwt", SECRET)
        for tenant in ("acme", "other"):
            added = SigningKeyAdded(f"kid-{tenant}", "HS256", "app", [], secret="jwt")
            (position,) = platform.append(added, tenant=tenant)
            platform.loop.run(platform.store.wait(SigningKey, position, 5))
        yield platform


@pytest.fixture(scope="module")
def gateway(platform):
    with platform.gateway() as gateway:
        yield gateway


def signed_in(tenant: str = "acme", **claims) -> str:
    claims = {"aud": "app", "exp": time.time() + 60, "sub": "ann"} | claims
    token = jwt.encode(claims, SECRET, "HS256", headers={"kid": f"kid-{tenant}"})
    return f"Authorization: Bearer {token}"


def redirected(answer, url: str = TARGET) -> bool:
    return answer.status in (302, 303) and answer.headers["location"] == url


def test_a_link_redirects_and_nobody_remembers_where_to(platform, gateway):
    path = platform.make("plain")
    answer = gateway.get(path)
    assert answer.status == 302
    assert answer.headers["location"] == TARGET
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-length"] == "0"


def test_from_memory_a_link_answers_the_same_without_the_store(platform, gateway):
    path = platform.make("again")
    first = gateway.get(path)
    lookups = len(gateway.store.lookups)
    second = gateway.get(path)
    assert len(gateway.store.lookups) == lookups
    assert second.status == first.status
    assert abs(parsedate_to_datetime(second.headers.pop("date")) - datetime.now(UTC)).seconds < 5
    for name in ("date", "connection", "content-type"):
        del first.headers[name]
    assert second.headers == first.headers


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_link_redirects_with_its_code(platform, gateway, code):
    path = platform.make(f"code{code}", redirect_code=code)
    app, hot = gateway.get(path), gateway.get(path)
    assert (app.status, hot.status) == (code, code)
    assert ("no-store" in hot.headers["cache-control"]) == (code in (302, 307))


def test_every_redirect_is_a_click(platform, gateway):
    path = platform.make("clicked")
    for _ in range(3):
        gateway.get(path, AGENT, "Referer: https://news.example/today")
    found = eventually(lambda: len(found := platform.clicks("clicked")) == 3 and found)
    assert {click.source for click in found} == {f"gateway/{gateway.name}"}
    assert {click.tenant for click in found} == {"acme"}
    assert all(abs(click.time - datetime.now(UTC)).seconds < 5 for click in found)
    (click,) = {click.data for click in found}  # the same visitor, so the same all three times
    assert (click.kind, click.browser, click.referrer) == ("human", "Firefox", "news.example")


def test_head_is_redirected_and_counts_as_nobody(platform, gateway):
    path = platform.make("head")
    assert redirected(gateway.request(f"HEAD {path}", AGENT))
    assert platform.click_of("head").kind == "preview"


def test_a_query_is_counted_but_not_passed_on(platform, gateway):
    path = platform.make("query")
    gateway.get(path)
    assert redirected(gateway.get(f"{path}?utm_source=letter&x=1", AGENT))
    found = eventually(lambda: len(found := platform.clicks("query")) == 2 and found)
    assert {click.data.utm_source for click in found} == {None, "letter"}


@pytest.mark.parametrize("path", ["/%6Fdd", "/odd/", "//odd", "/odd?", "/odd?%ff=%", "/odd#x"])
def test_however_a_path_is_written_it_is_understood_or_refused(platform, gateway, path):
    if not platform.clicks("odd"):
        gateway.get(platform.make("odd"))
    assert gateway.get(path).status in (302, 404)


@pytest.mark.parametrize("path", ["/nothing", "/%ff", "/%00", "/" + "a" * 500])
def test_what_is_no_link_is_a_problem_to_programs_and_a_page_to_people(gateway, path):
    problem = gateway.get(path)
    assert problem.status == 404
    assert problem.headers["content-type"] == "application/problem+json"
    page = gateway.get(path, HTML)
    assert page.status == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert b"There is no such link" in page.body
    assert page.headers["cache-control"] == problem.headers["cache-control"] == "no-store"


def test_a_url_cannot_break_out_of_its_header(platform, gateway):
    path = platform.make("evil", long_url="https://x.example/\r\nSet-Cookie: a=b\r\n\r\nü")
    for _ in range(2):
        answer = gateway.get(path)
        assert answer.headers["location"] == (
            "https://x.example/%0D%0ASet-Cookie:%20a=b%0D%0A%0D%0A%C3%BC"
        )
        assert "set-cookie" not in answer.headers


def test_a_deleted_link_is_gone(platform, gateway):
    path = platform.make("deleted", expired_url="https://example.com/instead")
    platform.change(LinkDeleted("deleted"))
    assert gateway.get(path).status == 410


def test_a_disabled_link_is_gone_until_it_is_enabled(platform, gateway):
    path = platform.make("disabled")
    platform.change(
        LinkChanged("disabled", TARGET, disabled=True, expired_url="https://e.example/")
    )
    assert gateway.get(path).status == 410
    platform.change(LinkChanged("disabled", TARGET, disabled=False))
    eventually(lambda: redirected(gateway.get(path)), timeout_s=1)


def test_a_link_expires_in_memory_too(platform, gateway):
    soon_ms = int(time.time() * 1000) + 60_000
    path = platform.make("expiring", expires_at_ms=soon_ms)
    elsewhere = platform.make("elsewhere", expires_at_ms=soon_ms, expired_url="https://e.example/")
    assert redirected(gateway.get(path))
    assert redirected(gateway.get(elsewhere))
    gateway.later_s = 61
    try:
        gone = gateway.get(path, HTML)
        assert gone.status == 410
        assert b"This link has expired" in gone.body
        assert redirected(gateway.get(elsewhere), "https://e.example/")
        assert redirected(gateway.get(elsewhere), "https://e.example/")
    finally:
        gateway.later_s = 0
    assert len(platform.clicks("elsewhere")) <= 1  # only when it led to its target


def test_a_link_is_used_up_by_as_many_clicks_as_it_may_have(platform, gateway):
    path = platform.make("capped", max_clicks=3)
    gateway.get(path, "User-Agent: curl/8")
    for _ in range(3):
        assert redirected(gateway.get(path, AGENT))
    eventually(lambda: gateway.get(path, AGENT).status == 410)
    assert platform.counted("capped").humans >= 3


def test_a_used_up_link_may_lead_elsewhere(platform, gateway):
    path = platform.make("used", max_clicks=1, expired_url="https://e.example/")
    platform.change(LinkUsedUp("used", 1))
    assert redirected(gateway.get(path), "https://e.example/")


def test_a_link_with_a_password_asks_for_it_with_a_form(platform, gateway):
    form = gateway.get(platform.make("form", password_hash=HASH), AGENT)
    assert form.status == 200
    assert form.headers["cache-control"] == "no-store"
    assert "form-action" not in form.headers["content-security-policy"]
    assert b'<form method="post">' in form.body
    assert b'<label for="password">' in form.body
    assert b"<script" not in form.body
    assert not platform.clicks("form")


def test_the_right_password_leads_on_and_is_not_sent_along(platform, gateway):
    path = platform.make("right", password_hash=HASH, redirect_code=307)
    answer = gateway.request(f"POST {path}", AGENT, body=f"password={quote(PASSWORD)}")
    assert answer.status == 303
    assert redirected(answer)
    assert platform.click_of("right").kind == "human"


def test_a_password_may_be_tried_three_times_a_minute(platform, gateway):
    path = platform.make("wrong", password_hash=HASH)
    other = platform.make("wrong2", password_hash=HASH)
    for _ in range(3):
        answer = gateway.request(f"POST {path}", body="password=guess")
        assert answer.status == 403
        assert b'role="alert"' in answer.body
    refused = gateway.request(f"POST {path}", body=f"password={quote(PASSWORD)}")
    assert refused.status == 429
    assert 50 < int(refused.headers["retry-after"]) <= 60
    assert redirected(gateway.request(f"POST {other}", body=f"password={quote(PASSWORD)}"))
    assert not platform.clicks("wrong")


@pytest.mark.parametrize("body", ["", "passwort=x", "password=%ff%00", "password=" + "x" * 5_000])
def test_a_form_that_is_none_is_refused(platform, gateway, body):
    path = platform.make(f"noform{len(body)}", password_hash=HASH)
    assert 400 <= gateway.request(f"POST {path}", body=body).status < 500


def test_a_post_to_a_link_without_password_leads_on(platform, gateway):
    assert redirected(gateway.request(f"POST {platform.make('posted')}", body="password=x"))


def test_an_audited_link_is_for_users_who_are_signed_in(platform, gateway):
    path = platform.make("audited", audit=True)
    assert gateway.get(path).status == 401
    assert gateway.get(path, "Authorization: Bearer no").status == 401
    assert redirected(gateway.get(path, signed_in()))
    click = platform.click_of("audited")  # durable when the answer came
    assert click.user == platform.vault.find("acme", "ann")


def test_an_audited_link_needs_a_user_not_only_a_token(platform, gateway):
    path = platform.make("userless", audit=True)
    claims = {"aud": "app", "exp": time.time() + 60}
    token = jwt.encode(claims, SECRET, "HS256", headers={"kid": "kid-acme"})
    answer = gateway.get(path, f"Authorization: Bearer {token}")
    assert answer.status == 401
    assert "www-authenticate" in answer.headers


def test_users_of_other_tenants_cannot_follow_audited_links(platform, gateway):
    path = platform.make("theirs", audit=True)
    assert gateway.get(path, signed_in("other")).status == 404
    assert not platform.clicks("theirs")


def test_an_audited_link_does_not_redirect_when_its_click_is_not_durable(platform, gateway):
    path = platform.make("unheard", audit=True)
    assert redirected(gateway.get(path, signed_in()))
    gateway.log.refuses = True
    try:
        refused = gateway.get(path, signed_in())
    finally:
        gateway.log.refuses = False
    assert refused.status == 503
    assert "retry-after" in refused.headers
    assert len(platform.clicks("unheard")) == 1


def test_a_tenant_may_have_all_its_links_audited(platform):
    path = platform.make("strict", tenant="other")
    with platform.gateway(LinkSettings(audited_tenants=frozenset({"other"}))) as strict:
        assert strict.get(path).status == 401
        assert redirected(strict.get(path, signed_in("other")))


def test_changes_reach_every_gateway_within_a_second(platform, gateway):
    path = platform.make("moving")
    with platform.gateway() as other:
        for each in (gateway, other):
            assert redirected(each.get(path))
        platform.append(LinkChanged("moving", "https://example.com/new"))
        for each in (gateway, other):
            eventually(lambda each=each: redirected(each.get(path), "https://example.com/new"), 1)
        platform.append(LinkDeleted("moving"))
        for each in (gateway, other):
            eventually(lambda each=each: each.get(path).status == 410, 1)


def test_a_link_just_created_is_never_missing_on_any_gateway(platform, gateway):
    with platform.gateway() as other:
        for i in range(20):
            platform.append(LinkRequested(f"fresh{i}", TARGET, is_alias=True))
            assert redirected(other.get(f"/fresh{i}"))
            assert redirected(gateway.get(f"/fresh{i}"))


def test_links_that_are_followed_most_are_in_memory_before_a_gateway_is_ready(platform, gateway):
    path = platform.make("popular")
    gateway.get(path, AGENT)
    eventually(lambda: platform.counted("popular"))
    with platform.gateway() as other:
        lookups = len(other.store.lookups)
        assert redirected(other.get(path))
        assert len(other.store.lookups) == lookups


def test_a_gateway_counts_the_clicks_it_has_before_it_stops(platform):
    path = platform.make("parting")
    with platform.gateway() as parting:
        for _ in range(10):
            parting.get(path)
    assert len(platform.clicks("parting")) == 10


def test_redirects_go_on_while_the_log_is_down_and_are_counted_afterwards(platform, gateway):
    path = platform.make("undaunted")
    gateway.log.refuses = True
    try:
        assert all(redirected(gateway.get(path)) for _ in range(20))
    finally:
        gateway.log.refuses = False
    eventually(lambda: len(platform.clicks("undaunted")) == 20)


def clicks(what: str) -> float:
    return REGISTRY.get_sample_value(f"sixfold_clicks_{what}_total") or 0.0


class CrampedGateway(Gateway):
    """A gateway whose spill has a full disk, and little memory."""

    spill_settings = SpillSettings(max_file_bytes=0, max_memory_bytes=2_000, retry_s=0.02)


def test_with_no_room_anywhere_redirects_go_on_and_what_is_lost_is_counted(platform):
    path = platform.make("cramped")

    def counted():
        totals = platform.counted("cramped")
        return totals and totals.humans

    lost_before, recorded_before = clicks("lost"), clicks("recorded")
    with platform.running(CrampedGateway, LinkSettings(max_waiting_clicks=30)) as cramped:
        cramped.log.refuses = True
        assert all(redirected(cramped.get(path, AGENT)) for _ in range(100))
        assert clicks("lost") - lost_before == 70
        assert clicks("recorded") == recorded_before
        cramped.log.refuses = False
        eventually(lambda: clicks("recorded") - recorded_before == 30)
        eventually(lambda: counted() == 30)
        assert redirected(cramped.get(path, AGENT))
        eventually(lambda: counted() == 31)
    assert clicks("lost") - lost_before == 70


def test_only_trusted_proxies_say_who_the_client_is(platform, gateway):
    path = platform.make("proxied")
    forwarded = ["X-Forwarded-For: 198.51.100.7", "CF-IPCountry: DE", AGENT]
    gateway.get(path, *forwarded)
    assert platform.click_of("proxied").country is None
    path = platform.make("behind")
    with platform.gateway(trusted_proxies=(ip_network("127.0.0.0/8"),)) as behind:
        behind.get(path, *forwarded)
        behind.get(path, *forwarded)
        behind.get(path, "X-Forwarded-For: 198.51.100.8", *forwarded[1:])
    found = [click.data for click in platform.clicks("behind")]
    assert {click.country for click in found} == {"DE"}
    assert len({click.visitor for click in found}) == 2


def test_keys_of_no_block_are_unknown_without_the_store(platform, gateway):
    platform.append(BlockGranted("test"))
    granted, never = KEYS.key(7), KEYS.key(10**12)
    assert gateway.get(f"/{granted}").status == 404
    assert gateway.get(f"/{never}").status == 404
    assert granted in gateway.store.lookups
    assert never not in gateway.store.lookups
