"""What a link may be, and whether it redirects now."""

import re
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from streams.errors import RuleBroken

REDIRECT_CODES = (301, 302, 307, 308)
CACHED_CODES = (301, 308)  # browsers remember them and do not ask again

MAX_TTL_S = 100 * 365 * 86_400

# First segments of paths that are the platform's, or that browsers and crawlers ask every host for.
RESERVED = frozenset(
    [
        *("admin", "api", "asyncapi", "auth", "connection", "console", "dashboard", "docs"),
        *("emulation", "health", "links", "login", "logout", "metrics", "oauth", "openapi", "qr"),
        *("schemas", "sixfold", "static", "stats", "status", "urls", "ws", "www", "index"),
        *(".well-known", "well-known", "robots.txt", "favicon.ico", "sitemap.xml", "favicon"),
        *("apple-touch-icon", "security.txt"),
    ]
)

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,63}")


def check_alias(alias: str) -> None:
    """Check a custom alias: 3 to 64 letters, digits, `-` or `_`, the first a letter or digit.

    Upper and lower case differ, as in generated keys.

    Raises:
        RuleBroken: the alias is malformed or reserved.
    """
    if not _ALIAS.fullmatch(alias):
        raise RuleBroken(
            "custom_alias",
            "must be 3 to 64 characters out of A-Z, a-z, 0-9, - and _, and begin with a letter "
            "or digit",
        )
    if is_reserved(alias):
        raise RuleBroken("custom_alias", f"{alias!r} is reserved: choose another one")


def is_reserved(key: str) -> bool:
    """Whether a key is kept for the platform; some are seven letters, so generated ones may be."""
    return key.lower() in RESERVED


class LinkTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """On what terms a link redirects.

    Attributes:
        expired_url: where to redirect to when the link is expired or used up, instead of a 410.
        max_clicks: human clicks after which the link is used up.
    """

    redirect_code: int = 302
    expires_at_ms: int | None = None
    expired_url: str | None = None
    max_clicks: int | None = None
    password_hash: str | None = None
    disabled: bool = False


class Availability(Enum):
    """What a link answers with."""

    ACTIVE = "active"
    EXPIRED = "expired"
    USED_UP = "used_up"
    DISABLED = "disabled"
    PASSWORD_REQUIRED = "password_required"  # noqa: S105


def availability(terms: LinkTerms, clicks: int, now_ms: int) -> Availability:
    """What a link with so many human clicks answers with."""
    if terms.disabled:
        return Availability.DISABLED
    if terms.expires_at_ms is not None and now_ms >= terms.expires_at_ms:
        return Availability.EXPIRED
    if terms.max_clicks is not None and clicks >= terms.max_clicks:
        return Availability.USED_UP
    if terms.password_hash is not None:
        return Availability.PASSWORD_REQUIRED
    return Availability.ACTIVE


def check_terms(terms: LinkTerms) -> None:
    """Check that terms are possible, each and together.

    Raises:
        RuleBroken: an unknown redirect code, no click allowed, or a redirect that browsers cache
            although the link can end or asks for a password.
    """
    if terms.redirect_code not in REDIRECT_CODES:
        raise RuleBroken("redirect_code", "must be 301, 302, 307 or 308")
    if terms.max_clicks is not None and terms.max_clicks < 1:
        raise RuleBroken("max_clicks", "must be at least 1; to stop a link, disable it")
    limited = {
        "an expiry": terms.expires_at_ms,
        "max_clicks": terms.max_clicks,
        "a password": terms.password_hash,
    }
    because = [name for name, value in limited.items() if value is not None]
    if terms.redirect_code in CACHED_CODES and because:
        raise RuleBroken(
            "redirect_code",
            f"browsers cache {terms.redirect_code} and would go on redirecting, so it cannot be "
            f"had with {' and '.join(because)}: use 302 or 307",
        )


def warnings(terms: LinkTerms) -> list[str]:
    """What the maker of a link should know about terms that are allowed."""
    if terms.redirect_code not in CACHED_CODES:
        return []
    return [
        f"browsers cache a {terms.redirect_code}: repeated clicks are not counted, and changing or "
        "deleting the link does not reach those who have followed it"
    ]


def expiry_ms(ttl_s: int | None, expires_at: datetime | None, now: datetime) -> int | None:
    """When a link ends, from one of the two ways to say it; None if it does not.

    Args:
        expires_at, now: with time zones.

    Raises:
        RuleBroken: both are given, or the time is not ahead or too far.
    """
    if ttl_s is not None and expires_at is not None:
        raise RuleBroken("ttl", "give either ttl or expires_at, not both")
    if ttl_s is not None:
        if not 1 <= ttl_s <= MAX_TTL_S:
            raise RuleBroken("ttl", f"must be from 1 to {MAX_TTL_S} seconds (100 years)")
        return _ms(now + timedelta(seconds=ttl_s))
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise RuleBroken("expires_at", "needs a time zone: end it with Z or an offset")
    if expires_at <= now:
        raise RuleBroken("expires_at", "must be in the future")
    if expires_at - now > timedelta(seconds=MAX_TTL_S):
        raise RuleBroken("expires_at", "must be within 100 years")
    return _ms(expires_at)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
