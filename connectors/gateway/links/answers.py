"""Redirects as answers: for the app, and as bytes for the front."""

from http import HTTPStatus
from urllib.parse import quote

from litestar import MediaType, Response

from streams.links.rules import CACHED_CODES

# Without this, browsers and proxies may remember a redirect, and the next click is not seen.
_NOT_CACHED = "private, no-store"
# Who wants browsers to remember a redirect gets it, but not for ever: the link may be changed.
_CACHED = "private, max-age=86400"

_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"


def redirect(code: int, url: str) -> Response[bytes]:
    """A redirect."""
    headers = dict(_headers(code, url))
    return Response(b"", status_code=code, headers=headers, media_type=MediaType.TEXT)


def redirect_head(code: int, url: str) -> bytes:
    """A redirect on the wire, without `Date` and the empty line at its end."""
    lines = [
        f"HTTP/1.1 {code} {HTTPStatus(code).phrase}",
        *(f"{name}: {value}" for name, value in _headers(code, url)),
        "content-length: 0",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")


def _headers(code: int, url: str) -> list[tuple[str, str]]:
    return [
        # Targets are in normal form; nothing else may get into a header even so.
        ("location", quote(url, _URL_CHARACTERS)),
        ("cache-control", _CACHED if code in CACHED_CODES else _NOT_CACHED),
    ]
