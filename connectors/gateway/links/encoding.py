"""From a request that followed a link to the entry of the log that says so, in a few microseconds.

`Sealer.entry` makes every event anew, where most of a click is that of the link's last one, or of
the last visitor with the same browser. So sealed events are cut up, and put together again from
their parts.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from connectors.gateway.enrich import Arrival, Enricher, Visit
from connectors.gateway.proxies import client_address, is_trusted
from connectors.vault.visitors import VisitorHasher, visitor_hasher
from schemas.fields import Subject
from schemas.ids import uuid7
from schemas.links import CLICKS, LinkClicked
from streams.addresses import Network
from streams.errors import VaultError
from streams.links.views import Link
from streams.log import Entry
from streams.sealing import Origin, Sealer

_CACHED = 4_096  # headers of up to 16 KB each

# What a visit is made of, besides the country.
_TELLING = frozenset(
    (b"user-agent", b"referer", b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
)

# Where sealed events are cut.
_ID = uuid7(0)
_TIME = datetime(1, 1, 1, tzinfo=UTC)
_TIME_TEXT = "0001-01-01T00:00:00Z"
_VISITOR = secrets.token_hex(8)

Header = tuple[bytes, bytes]


class Hit(NamedTuple):
    """A request that follows a link, as it came in; kept in memory only until it is a click.

    Attributes:
        query: without the question mark.
        headers: names in lower case.
        peer: the address at the other end of the connection.
    """

    time_ms: int
    method: str
    query: bytes
    headers: Sequence[Header]
    peer: str


class ClickedLink(msgspec.Struct, frozen=True, gc=False):
    """What all clicks of a link have in common.

    Attributes:
        partition, key: of the records.
        text: what they say between time and visitor.
    """

    link: str
    tenant: str
    partition: int
    key: bytes | None
    text: str


class _Moment(NamedTuple):
    """What all clicks of a millisecond have in common.

    Attributes:
        id: what their ids begin with; they end with a number that grows (RFC 9562, section 6.2,
            method 2), since 74 random bits for each take longer than all the rest.
    """

    time_ms: int
    time: datetime
    day: date
    text: str
    id: str


class _Visitor(NamedTuple):
    """What visitors with the same headers have in common; `text` is what the records end with."""

    user_agent: str
    visit: Visit
    text: str


class ClickEncoder:
    """Makes entries of the log of hits."""

    def __init__(
        self,
        sealer: Sealer,
        source: str,
        enricher: Enricher,
        visitor: VisitorHasher,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        """Encode what this gateway sees.

        Args:
            visitor: the vault's.
        """
        self._sealer = sealer
        self._source = source
        self._enricher = enricher
        self._hash = visitor
        self._hash_without_vault = visitor_hasher()
        self._trusted_proxies = trusted_proxies
        self._country_header = enricher.country_header.encode()
        self._moment = _moment(0)
        self._serial = secrets.randbits(47)
        self._visitor = lru_cache(maxsize=_CACHED)(self._make_visitor)
        self._hashed = lru_cache(maxsize=_CACHED)(self._make_hash)
        self._before_id, self._before_time, *_ = self._cut(LinkClicked("", _VISITOR), "")

    def link(self, link: Link) -> ClickedLink:
        """What all clicks of a link have in common."""
        click = LinkClicked(link.link, _VISITOR)
        entry = self._sealer.entry(click, self._origin(link.tenant, _TIME), _ID)
        _, _, text, _ = self._cut(click, link.tenant)
        return ClickedLink(link.link, link.tenant, entry.partition, entry.key, text)

    def entry(self, link: ClickedLink, hit: Hit) -> Entry:
        """A click, the same as the sealer makes it."""
        time_ms, method, query, headers, peer = hit
        moment = self._moment
        if time_ms != moment.time_ms:
            moment = self._moment = _moment(time_ms)
        address, country = self._place(headers, peer)
        telling = tuple([header for header in headers if header[0] in _TELLING])
        visitor = self._visitor(method, query, telling, country)
        self._serial += 1
        value = (
            f"{self._before_id}{moment.id}{self._serial:012x}{self._before_time}{moment.text}"
            f"{link.text}{self._hashed(moment.day, address, visitor.user_agent)}{visitor.text}"
        )
        return Entry(CLICKS.name, link.partition, link.key, value.encode())

    def entry_of_user(self, link: ClickedLink, hit: Hit, user: Subject) -> Entry:
        """A click of somebody who is signed in."""
        address, country = self._place(hit.headers, hit.peer)
        telling = tuple(header for header in hit.headers if header[0] in _TELLING)
        visitor = self._visitor(hit.method, hit.query, telling, country)
        moment = _moment(hit.time_ms)
        click = LinkClicked(
            link.link,
            self._hashed(moment.day, address, visitor.user_agent),
            **msgspec.structs.asdict(visitor.visit),
            user=user,
        )
        origin = self._origin(link.tenant, moment.time)
        return self._sealer.entry(click, origin, uuid7(hit.time_ms))

    def _place(self, headers: Sequence[Header], peer: str) -> tuple[str, str | None]:
        """The client's address and country."""
        trusted = self._trusted_proxies
        if not (trusted and is_trusted(peer, trusted)):
            return peer, self._enricher.country(peer, None)
        address = client_of(headers, peer, trusted)
        claimed = next(iter(_values(headers, self._country_header)), None)
        return address, self._enricher.country(address, claimed)

    def _make_visitor(
        self, method: str, query: bytes, telling: tuple[Header, ...], country: str | None
    ) -> _Visitor:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in telling}
        arrival = Arrival(method, query.decode(errors="replace"), "", headers)
        visit = msgspec.structs.replace(self._enricher.visit(arrival), country=country)
        click = LinkClicked("", _VISITOR, **msgspec.structs.asdict(visit))
        *_, text = self._cut(click, "")
        return _Visitor(headers.get("user-agent", ""), visit, text)

    def _make_hash(self, day: date, address: str, user_agent: str) -> str:
        try:
            return self._hash(day, address, user_agent)
        except VaultError:  # the click counts even so, if perhaps as another visitor's
            return self._hash_without_vault(day, address, user_agent)

    def _cut(self, click: LinkClicked, tenant: str) -> tuple[str, str, str, str]:
        """What stands before id, time and visitor in a sealed click, and after the visitor."""
        entry = self._sealer.entry(click, self._origin(tenant, _TIME), _ID)
        before_id, _, rest = entry.value.decode().partition(_ID)
        before_time, _, rest = rest.partition(_TIME_TEXT)
        before_visitor, _, end = rest.partition(_VISITOR)
        return before_id, before_time, before_visitor, end

    def _origin(self, tenant: str, time: datetime) -> Origin:
        return Origin(source=self._source, tenant=tenant, time=time)


def client_of(headers: Sequence[Header], peer: str, trusted_proxies: Sequence[Network]) -> str:
    """The address that a request came from, before it came to our proxies."""
    forwarded = ",".join(_values(headers, b"x-forwarded-for"))
    return client_address(peer, forwarded, trusted_proxies)


def _values(headers: Sequence[Header], wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]


def _moment(time_ms: int) -> _Moment:
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    text = msgspec.json.encode(time).decode().strip('"')
    return _Moment(time_ms, time, time.date(), text, uuid7(time_ms)[:-12])
