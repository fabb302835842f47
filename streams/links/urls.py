"""Where a link may lead to: its target URL in one normal form, and the rules about its host."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, quote, urlsplit

import idna

from streams.addresses import address_of, is_global
from streams.errors import RuleBroken

# What every recipient should support (RFC 9110, section 4.1).
MAX_URL_LENGTH = 8_000

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")  # browsers drop or reinterpret them
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNQUOTED = "!#$%&'()*+,/:;=?@[]~"
_LOCAL_NAMES = frozenset(("localhost", "local", "internal", "home.arpa"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlRules:
    """What targets are refused besides those that no link may have.

    Attributes:
        own: our own host, with its port if that is not the scheme's.
        blocked: hosts that are refused with everything below them.
        allow_private: whether links may lead into the intranet or to this machine.
    """

    own: str = ""
    blocked: frozenset[str] = frozenset()
    allow_private: bool = False

    @classmethod
    def of(cls, public_url: str, blocked: Iterable[str], *, allow_private: bool = False) -> Self:
        """The rules that settings make.

        Raises:
            RuleBroken: `public_url` is no URL, or an entry of `blocked` no host.
        """
        return cls(
            own=urlsplit(normal_url(public_url, "public_url")).netloc,
            blocked=frozenset(_normal_host(host, "blocked").strip("[]") for host in blocked),
            allow_private=allow_private,
        )

    def target(self, url: str, field: str = "long_url") -> str:
        """A URL that a link may lead to, in its normal form.

        Names are not resolved here: that a name has a global address is seen when it is fetched.

        Raises:
            RuleBroken: the URL is malformed, or its host is refused.
        """
        normal = normal_url(url, field)
        parts = urlsplit(normal)
        host = parts.hostname or ""
        if self.own in (parts.netloc, host):
            raise RuleBroken(field, "leads back to this service: give the final address")
        if is_blocked(host, self.blocked):
            raise RuleBroken(field, f"{host} is on the list of blocked hosts")
        if not self.allow_private and not _is_public(host):
            raise RuleBroken(field, f"{host} is not on the public internet")
        return normal


def normal_url(url: str, field: str) -> str:
    """An http or https URL in its normal form.

    Scheme and host in lower case, the host in ASCII (IDNA 2008 with the mapping of UTS 46), no
    default port, a path, and everything else percent-encoded that has to be.

    Raises:
        RuleBroken: it is malformed, has credentials, or is too long.
    """
    if _FORBIDDEN.search(url):
        raise RuleBroken(
            field, "spaces, control characters and backslashes must be percent-encoded"
        )
    parts, port = _split(url, field)
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise RuleBroken(field, "must begin with http:// or https://")
    if "@" in parts.netloc:
        raise RuleBroken(
            field, "must not hold a user name or password: links are seen by everybody"
        )
    netloc = _normal_host(parts.hostname or "", field)
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        netloc += f":{port}"
    normal = parts._replace(
        scheme=scheme,
        netloc=netloc,
        path=quote(parts.path, _UNQUOTED) or "/",
        query=quote(parts.query, _UNQUOTED),
        fragment=quote(parts.fragment, _UNQUOTED),
    ).geturl()
    if len(normal) > MAX_URL_LENGTH:
        raise RuleBroken(field, f"is longer than {MAX_URL_LENGTH} characters")
    return normal


def is_blocked(host: str, blocked: frozenset[str]) -> bool:
    """Whether a host, or a domain that it is in, is on the list."""
    while host:
        if host in blocked:
            return True
        host = host.partition(".")[2]
    return False


def _split(url: str, field: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        if "[" in parts.netloc and ":" not in (parts.hostname or ""):
            raise ValueError("only IPv6 addresses stand in brackets")
        return parts, parts.port
    except ValueError as malformed:
        raise RuleBroken(field, f"is no URL: {malformed}") from malformed


def _normal_host(host: str, field: str) -> str:
    """A host as it stands in a normal URL: a name in ASCII, a.b.c.d, or an IPv6 one in brackets.

    A host that ends in a number is an IPv4 address to browsers, in whatever notation; only the
    usual one is taken, so that everybody means the same host (WHATWG URL, section 3.5).
    """
    if ":" in host:
        return _address(host, field)
    name = _ascii(host, field).lower().removesuffix(".")
    if not _HOST_NAME.fullmatch(name):
        raise RuleBroken(field, f"{host!r} is no host name")
    if _NUMERIC.fullmatch(name.rpartition(".")[2]):
        return _address(name, field)
    return name


def _ascii(host: str, field: str) -> str:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError as malformed:
        raise RuleBroken(field, f"{host!r} is no host name: {malformed}") from malformed


def _address(text: str, field: str) -> str:
    if "%" in text:
        raise RuleBroken(field, "an address with a zone means nothing elsewhere")
    try:
        address = address_of(text)
    except ValueError as malformed:
        raise RuleBroken(
            field, f"{text} is no address: write IPv4 addresses as four decimal numbers"
        ) from malformed
    return f"[{address}]" if address.version == 6 else str(address)


def _is_public(host: str) -> bool:
    """Whether a host, as it stands in a normal URL without brackets, can be public."""
    try:
        return is_global(address_of(host))
    except ValueError:
        return "." in host and not is_blocked(host, _LOCAL_NAMES)
