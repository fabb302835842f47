"""Which methods a path takes: OPTIONS says all of them (RFC 9110, section 9.3.7).

Litestar's own answer is that of the first handler of the path, made before it knew of the others.
"""

from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute

_ALLOW = "allow"


def note_methods(app: Litestar) -> None:
    """Note at each path's handler of OPTIONS which methods there are."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            handler, _ = route.route_handler_map["OPTIONS"]
            handler.opt[_ALLOW] = ", ".join(sorted(route.methods)).encode()


def with_methods(headers: list[tuple[bytes, bytes]], scope: Any) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, of which those to OPTIONS name all methods."""
    handler = scope.get("route_handler")
    allow = handler.opt.get(_ALLOW) if handler else None
    if allow is None:
        return headers
    return [*(header for header in headers if header[0] != b"allow"), (b"allow", allow)]
