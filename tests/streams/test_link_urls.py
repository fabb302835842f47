import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import RuleBroken
from streams.links.urls import MAX_URL_LENGTH, UrlRules, is_blocked, normal_url

RULES = UrlRules.of("https://sho.rt", ["evil.com", "Bücher.example", "2606:4700::1", "9.9.9.9"])


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://Example.COM:80", "http://example.com/"),
        ("https://example.com:443/a?b#c", "https://example.com/a?b#c"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("http://example.com./", "http://example.com/"),
        ("https://münchen.de/ü?q=ä#é", "https://xn--mnchen-3ya.de/%C3%BC?q=%C3%A4#%C3%A9"),
        ("http://example.com/%41/%c3?x=%20", "http://example.com/%41/%c3?x=%20"),
        ('http://example.com/"<>`{}|^', "http://example.com/%22%3C%3E%60%7B%7D%7C%5E"),
        ("http://my_site.example.com?x", "http://my_site.example.com/?x"),
        ("http://8.8.8.8./x", "http://8.8.8.8/x"),
        ("http://[2606:4700:0:0::1111]:443/", "http://[2606:4700::1111]:443/"),
        ("http://[::ffff:8.8.8.8]/", "http://8.8.8.8/"),
    ],
)
def test_a_url_is_brought_into_its_normal_form(url: str, normal: str) -> None:
    assert RULES.target(url) == normal


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must begin with http"),
        ("example.com", "must begin with http"),
        ("//example.com/", "must begin with http"),
        ("javascript:alert(1)", "must begin with http"),
        ("ftp://example.com/", "must begin with http"),
        ("http://", "no host name"),
        ("http:///path", "no host name"),
        ("http://a..b/", "no host name"),
        ("http://ex%61mple.com/", "no host name"),
        ("http://-❤-.example/", "no host name"),
        (f"http://{'a' * 64}.com/", "no host name"),
        ("http://example.com:99999/", "Port out of range"),
        ("http://example.com:x/", "no URL"),
        ("http://[::1/", "no URL"),
        ("http://[v1.x]/", "no URL"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://user:secret@example.com/", "user name or password"),
        ("http://example.com\\@evil.org/", "percent-encoded"),
        ("http://example.com/a b", "percent-encoded"),
        (" http://example.com/", "percent-encoded"),
        ("http://exam\tple.com/", "percent-encoded"),
        ("http://example.com/\r\nX: y", "percent-encoded"),
        ("http://example.com/\ud800", "percent-encoded"),
        (f"http://example.com/{'x' * MAX_URL_LENGTH}", "longer than 8000"),
        (f"http://example.com/{'ü' * 2_000}", "longer than 8000"),
    ],
)
def test_a_malformed_url_is_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(RuleBroken, match=reason) as broken:
        RULES.target(url)
    assert broken.value.field == "long_url"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "[::1]", "[fd00::1]"),
        *("[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "１２７.0.0.1", "127。0。0。1"),
        *("localhost", "a.localhost", "printer", "nas.local", "db.internal", "x.home.arpa"),
    ],
)
def test_hosts_that_are_not_public_are_refused_unless_private_ones_are_allowed(host: str) -> None:
    with pytest.raises(RuleBroken, match="not on the public internet"):
        RULES.target(f"http://{host}/")
    assert UrlRules(allow_private=True).target(f"http://{host}/").startswith("http://")


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "1.2.3.4.5", "256.0.0.1", "example.1"]
)
def test_odd_notations_of_addresses_are_refused_everywhere(host: str) -> None:
    with pytest.raises(RuleBroken, match="four decimal numbers"):
        UrlRules(allow_private=True).target(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "https://sho.rt/abc",
        "http://SHO.RT",
        "https://sho.rt:8080/",
        "http://sho.rt./",
        "https://ｓho.rt/",
    ],
)
def test_our_own_domain_is_refused(url: str) -> None:
    with pytest.raises(RuleBroken, match="leads back"):
        RULES.target(url)


def test_a_neighbour_of_our_own_domain_is_not_ours() -> None:
    assert RULES.target("https://blog.sho.rt/") == "https://blog.sho.rt/"
    local = UrlRules.of("http://127.0.0.1:8080", [], allow_private=True)
    assert local.target("http://127.0.0.1:9000/") == "http://127.0.0.1:9000/"
    with pytest.raises(RuleBroken, match="leads back"):
        local.target("http://127.0.0.1:8080/x")


@pytest.mark.parametrize(
    "url",
    [
        *("http://evil.com/", "http://www.evil.com/", "https://a.b.EVIL.com:81/"),
        *("http://bücher.example/", "http://[2606:4700::1]/", "http://9.9.9.9/"),
    ],
)
def test_blocked_hosts_and_all_below_them_are_refused(url: str) -> None:
    with pytest.raises(RuleBroken, match="blocked"):
        RULES.target(url)


def test_a_host_that_only_ends_like_a_blocked_one_is_not_blocked() -> None:
    assert not is_blocked("notevil.com", RULES.blocked)
    assert not is_blocked("com", RULES.blocked)


@pytest.mark.parametrize(
    ("public_url", "blocked", "field"),
    [("sho.rt", [], "public_url"), ("https://sho.rt", ["*.evil.com"], "blocked")],
)
def test_wrong_settings_are_named(public_url: str, blocked: list[str], field: str) -> None:
    with pytest.raises(RuleBroken) as broken:
        UrlRules.of(public_url, blocked)
    assert broken.value.field == field


@given(st.text(max_size=60))
def test_whatever_comes_in_is_refused_or_normal_for_good(rest: str) -> None:
    for url in (rest, f"http://{rest}", f"https://example.com/{rest}"):
        try:
            normal = normal_url(url, "long_url")
        except RuleBroken:
            continue
        assert normal.isascii()
        assert normal.isprintable()
        assert normal_url(normal, "long_url") == normal
