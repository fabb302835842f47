"""Who makes links, from where, and how they reach us."""

from datetime import datetime
from typing import Any, NamedTuple

from litestar import Request

from connectors.gateway.auth import Caller
from connectors.gateway.links.bodies import ShownLink, shown
from connectors.gateway.links.encoding import client_of
from streams.addresses import Network
from streams.links.views import Link


class Client(NamedTuple):
    """Somebody who calls the API of links.

    Attributes:
        now: when the request came.
        public_url: what their short URLs begin with.
        idempotency_key: what they may send the same request again with.
    """

    caller: Caller
    address: str
    now: datetime
    public_url: str
    idempotency_key: str | None

    def shown(self, link: Link) -> ShownLink:
        """A link as they see it."""
        return shown(link, self.public_url, self.now)


def client_of_request(
    request: Request[Any, Any, Any],
    caller: Caller,
    now: datetime,
    trusted_proxies: tuple[Network, ...],
) -> Client:
    """The client that a request comes from.

    Without the setting `public_url`, short URLs begin as the request's own does.
    """
    peer = request.client.host if request.client else ""
    configured: str = request.app.state.get("public_url", "")
    return Client(
        caller,
        client_of(list(request.scope["headers"]), peer, trusted_proxies),
        now,
        configured or str(request.base_url).rstrip("/"),
        request.headers.get("Idempotency-Key"),
    )
