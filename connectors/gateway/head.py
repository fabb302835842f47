"""HEAD: answered wherever GET is, by the same handler, without the body (RFC 9110, section 9.3.2)."""

from copy import copy

from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute


class HeadLikeGet(ReceiveRoutePlugin):
    """Gives every route that has a GET a HEAD, unless it has one of its own."""

    def receive_route(self, route: BaseRoute) -> None:
        """Called by Litestar for each route, before requests are routed."""
        if isinstance(route, HTTPRoute) and "GET" in route.route_handler_map:
            handler, arguments = route.route_handler_map["GET"]
            head = copy(handler)
            head.operation_id = (
                f"HEAD {route.path}"  # must differ; `openapi.complete` leaves it out
            )
            route.route_handler_map.setdefault("HEAD", (head, arguments))
            route.methods.add("HEAD")
