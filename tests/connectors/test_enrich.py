import pytest

from connectors.gateway.enrich import MAX_UTM_LENGTH, Arrival, Enricher, Visit

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/116.0.0.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"


def visit(query: str = "", method: str = "GET", **headers: str) -> Visit:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Enricher().visit(Arrival(method, query, "198.51.100.7", named))


@pytest.mark.parametrize(
    ("user_agent", "device", "browser", "os"),
    [
        (CHROME, "desktop", "Chrome", "Windows"),
        (IPHONE, "mobile", "Mobile Safari", "iOS"),
        (IPHONE.replace("iPhone", "iPad"), "tablet", "Mobile Safari", "iOS"),
        (
            f"Mozilla/5.0 (Linux; Android 13; Pixel 7) {WEBKIT} Chrome/116.0.0.0 Mobile Safari/537.36",
            *("mobile", "Chrome Mobile", "Android"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 13; SM-X906C) {WEBKIT} Chrome/116.0.0.0 Safari/537.36",
            *("tablet", "Chrome", "Android"),
        ),
        (
            "Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/117.0 Firefox/117.0",
            *("tablet", "Firefox Mobile", "Android"),
        ),
        (
            "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0; Tablet PC 2.0)",
            *("desktop", "IE", "Windows"),
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/117.0",
            *("desktop", "Firefox", "Ubuntu"),
        ),
        (
            "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; en) Presto/2.12 Version/12.16",
            *("mobile", "Opera Mini", "Android"),
        ),
        (
            f"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) {WEBKIT} Version/6.0 TV Safari/537.36",
            *("other", "Safari", "Tizen"),
        ),
    ],
)
def test_a_browser_is_a_human_on_a_device(
    user_agent: str, device: str, browser: str, os: str
) -> None:
    seen = visit(user_agent=user_agent)
    assert (seen.kind, seen.device, seen.browser, seen.os) == ("human", device, browser, os)


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        *("curl/8.0.1", "python-requests/2.31.0", "Go-http-client/1.1", "", "-"),
        f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/116.0 Safari/537.36",
    ],
)
def test_crawlers_and_programs_are_bots(user_agent: str) -> None:
    assert visit(user_agent=user_agent).kind == "bot"


def test_a_request_without_user_agent_is_a_bots() -> None:
    assert visit() == Visit(kind="bot", device="other")


@pytest.mark.parametrize(
    "user_agent",
    [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        *("WhatsApp/2.23.20.0 A", "Twitterbot/1.0", "TelegramBot (like TwitterBot)"),
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
        f"Mozilla/5.0 (Macintosh) {WEBKIT} Safari/601 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    ],
)
def test_what_previews_links_in_messages_is_a_preview(user_agent: str) -> None:
    assert visit(user_agent=user_agent).kind == "preview"


@pytest.mark.parametrize(
    "header",
    [
        {"purpose": "prefetch"},
        {"sec_purpose": "prefetch;prerender"},
        {"x_moz": "prefetch"},
        {"x_purpose": "preview"},
    ],
)
def test_a_browser_that_fetches_ahead_is_a_preview(header: dict[str, str]) -> None:
    assert visit(user_agent=CHROME, **header).kind == "preview"


def test_a_head_request_is_no_human_click() -> None:
    assert visit(method="HEAD", user_agent=CHROME).kind == "preview"
    assert visit(method="HEAD", user_agent="curl/8.0.1").kind == "bot"


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://www.Example.com:8443/private/path?q=secret#x", "www.example.com"),
        ("http://user:secret@example.com/", "example.com"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("http://[2001:db8::1]/", "2001:db8::1"),
        ("", None),
        ("-", None),
        ("example.com/page", None),
        ("file:///home/user/mail.html", None),
        ("http://[broken/", None),
        ("http://a b/", None),
        (f"http://{'a.' * 200}com/", None),
    ],
)
def test_of_the_referrer_only_the_host_is_kept(referrer: str, host: str | None) -> None:
    assert visit(user_agent=CHROME, referer=referrer).referrer == host


def test_utm_parameters_are_taken_from_the_query() -> None:
    seen = visit(
        "x=1&utm_source=news+letter&utm_medium=e%2Dmail&utm_campaign=fr%C3%BChling&utm_term=a"
        "&utm_term=b&utm_content=&utm_id=7"
    )
    assert (seen.utm_source, seen.utm_medium) == ("news letter", "e-mail")
    assert (seen.utm_campaign, seen.utm_term, seen.utm_content) == ("frühling", "a", None)


def test_utm_parameters_are_bounded_and_printable() -> None:
    seen = visit(f"utm_source={'x' * 5_000}&utm_medium=a%00b%0Ac%FF", user_agent=CHROME)
    assert seen.utm_source == "x" * MAX_UTM_LENGTH
    assert seen.utm_medium is None  # beyond the part of the query that is read
    assert visit("utm_medium=a%00b%0Ac%FF").utm_medium == "abc�"


@pytest.mark.parametrize(
    ("via_proxy", "code", "country"),
    [
        *((True, "DE", "DE"), (True, "de", "DE"), (True, "XX", None), (True, "T1", None)),
        *((True, "Germany", None), (True, "", None), (False, "DE", None)),
    ],
)
def test_a_country_header_is_believed_only_behind_a_trusted_proxy(
    via_proxy: bool, code: str, country: str | None
) -> None:
    enricher = Enricher(country_header="cf-ipcountry")
    arrival = Arrival("GET", "", "198.51.100.7", {"cf-ipcountry": code}, via_proxy)
    assert enricher.visit(arrival).country == country


def test_no_part_of_address_or_user_agent_is_kept() -> None:
    secret = "Pat-Example-7734"
    seen = visit(user_agent=f"{CHROME} {secret}", referer=f"https://example.com/{secret}")
    kept = [str(getattr(seen, field)) for field in Visit.__struct_fields__]
    assert "Chrome" in kept
    assert not any(secret in value or "198.51.100.7" in value for value in kept)
