"""Query parameters: those that a route does not have are refused, not ignored.

A mistyped filter would otherwise answer with everything. Public routes take any, since links are
shared with parameters that others have added.
"""

from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from connectors.gateway.problems import bad_field

_NAMES = "query_parameters"


def note_parameters(app: Litestar) -> None:
    """Note at each route that has a scope which parameters it and its dependencies have."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, arguments in route.route_handler_map.values():
                if "scope" in handler.opt:
                    names = {parameter.field_alias for parameter in arguments.expected_query_params}
                    handler.opt[_NAMES] = tuple(sorted(names))


def refuse_unknown(request: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard of all routes.

    Raises:
        Problem: 400, naming a parameter that the route does not have.
    """
    names: tuple[str, ...] | None = handler.opt.get(_NAMES)
    if names is None or not request.scope["query_string"]:
        return
    for name in request.query_params:
        if name not in names:
            raise bad_field(name, f"is no parameter here: {_told(names)}")


def _told(names: tuple[str, ...]) -> str:
    return f"there are {', '.join(names)}" if names else "there are none"
