"""What a click says about its visitor, without what would identify them.

Address and user agent go in, country, device and browser come out. They are looked up once and
remembered in memory only, since recognising a crawler takes a quarter of a millisecond.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec
import ua_parser
from crawlerdetect import CrawlerDetect

from connectors.gateway.countries import Countries, country_code

Device = Literal["mobile", "tablet", "desktop", "other"]
Kind = Literal["human", "bot", "preview"]

MAX_UTM_LENGTH = 100

_MAX_USER_AGENT_LENGTH = 512
_MAX_QUERY_LENGTH = 4_096
_CACHED = 16_384
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_HOST = re.compile(r"[a-z0-9._:-]{1,253}")

# The first that is found counts: televisions call themselves Android, tablets Mobile, and Android's
# browsers leave out Mobile on tablets.
_DEVICES: list[tuple[Device, re.Pattern[str]]] = [
    ("other", re.compile(r"\bTV\b|SmartTV|HbbTV|Web0S|AFT[A-Z]|CrKey|PlayStation|Xbox|Nintendo")),
    ("mobile", re.compile(r"Opera Mini|Opera Mobi|IEMobile|Windows Phone")),
    ("tablet", re.compile(r"iPad|Tablet(?! PC)|Kindle|PlayBook|Silk/|Android(?!.*Mobi)")),
    ("mobile", re.compile(r"Mobi|iPhone|iPod|BlackBerry|BB10|MIDP|Symbian|Nokia|KAIOS")),
    ("desktop", re.compile(r"Windows|Macintosh|X11|Linux|CrOS|BSD")),
]

# What fetches a page to show a preview of a link that somebody sent.
_PREVIEWS = re.compile(
    r"Slack(bot|-ImgProxy)|facebookexternalhit|Facebot|^WhatsApp/|Twitterbot|TelegramBot|LinkedInBot"
    r"|Discordbot|SkypeUriPreview|MicrosoftPreview|Pinterest/|Pinterestbot|redditbot|vkShare|^Viber/"
    r"|kakaotalk-scrap|Iframely|Embedly|Mastodon/|Bluesky|Snap URL Preview|Google-PageRenderer"
    r"|bitlybot|Synapse \(bot|\bLine/.*linkpreview",
    re.IGNORECASE,
)
# Values of Sec-Purpose, Purpose, X-Purpose and X-Moz by which a browser says that nobody looks yet.
_PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_UNSEEN = re.compile(r"prefetch|prerender|preview")


class Arrival(NamedTuple):
    """What is known of the request that a click is.

    Attributes:
        query: of the short URL, without the question mark.
        address: the client's.
        headers: by their names in lower case.
        via_proxy: whether a trusted proxy has set the header with the country.
    """

    method: str
    query: str
    address: str
    headers: Mapping[str, str]
    via_proxy: bool = False


class Visit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of a click's visitor.

    Attributes:
        browser, os: families as ua-parser calls them.
        referrer: only the host.
        country: ISO 3166-1 alpha-2.
    """

    kind: Kind
    device: Device
    browser: str | None = None
    os: str | None = None
    referrer: str | None = None
    country: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None


class Agent(NamedTuple):
    """What a user agent says about itself."""

    kind: Kind
    device: Device
    browser: str | None
    os: str | None


class Enricher:
    """Makes visits of arrivals.

    Args:
        countries: where addresses are; before any header.
        country_header: the header, in lower case, in which trusted proxies say the country, such as
            `cf-ipcountry`.
    """

    def __init__(self, countries: Countries | None = None, country_header: str = "") -> None:
        self._countries = countries
        self.country_header = country_header
        agent_of("")  # loads thousands of patterns, which the first click need not wait for

    def visit(self, arrival: Arrival) -> Visit:
        """What to keep of a click."""
        headers = arrival.headers
        agent = agent_of(headers.get("user-agent", "")[:_MAX_USER_AGENT_LENGTH])
        unseen = arrival.method == "HEAD" or _is_unseen(headers)
        return Visit(
            kind="preview" if unseen and agent.kind == "human" else agent.kind,
            device=agent.device,
            browser=agent.browser,
            os=agent.os,
            referrer=host_of(headers.get("referer", "")),
            country=self.country(
                arrival.address,
                headers.get(self.country_header) if arrival.via_proxy else None,
            ),
            **campaign_of(arrival.query[:_MAX_QUERY_LENGTH]),
        )

    def country(self, address: str, claimed: str | None) -> str | None:
        """Where an address is.

        Args:
            claimed: what a trusted proxy says; asked only if there is no database.
        """
        if self._countries is not None:
            return self._countries.of(address)
        return None if claimed is None else country_code(claimed)


@lru_cache(maxsize=_CACHED)
def agent_of(user_agent: str) -> Agent:
    """What a `User-Agent` header says; programs that send none are bots."""
    parsed = ua_parser.parse(user_agent)
    return Agent(
        kind=_kind(user_agent),
        device=next((name for name, sign in _DEVICES if sign.search(user_agent)), "other"),
        browser=parsed.user_agent.family if parsed.user_agent else None,
        os=parsed.os.family if parsed.os else None,
    )


def _kind(user_agent: str) -> Kind:
    if _PREVIEWS.search(user_agent):
        return "preview"
    return "human" if len(user_agent) > 1 and not _crawlers.is_crawler(user_agent) else "bot"


_crawlers = CrawlerDetect()


@lru_cache(maxsize=_CACHED)
def host_of(referrer: str) -> str | None:
    """The host of a `Referer` header, or the app's name if it was an Android app."""
    try:
        parts = urlsplit(referrer)
        host = (parts.hostname or "").removesuffix(".")
    except ValueError:
        return None
    known = parts.scheme in ("http", "https", "android-app")
    return host if known and _HOST.fullmatch(host) else None


@lru_cache(maxsize=_CACHED)
def campaign_of(query: str) -> Mapping[str, str]:
    """The UTM parameters of a short URL's query, each at its first place, shortened and printable.

    Those of the target say nothing about a click that is not known from the link.
    """
    found: dict[str, str] = {}
    if "utm_" not in query:
        return found
    for name, value in parse_qsl(query, errors="replace"):
        printable = "".join(filter(str.isprintable, value)).strip()
        if name in _UTM and printable:
            found.setdefault(name, printable[:MAX_UTM_LENGTH])
    return found


def _is_unseen(headers: Mapping[str, str]) -> bool:
    return any(
        purpose in headers and _UNSEEN.search(headers[purpose].lower()) for purpose in _PURPOSES
    )
