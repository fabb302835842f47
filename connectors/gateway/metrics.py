"""Metrics: how many requests, how they ended, and how long they took."""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from connectors.gateway.given import Overload

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LABELS = ("method", "route", "status")
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

REQUESTS = Counter("sixfold_http_requests", "HTTP requests by route template and status", _LABELS)
SECONDS = Histogram(
    "sixfold_http_request_seconds",
    "From a request's head to the end of its answer",
    _LABELS,
    buckets=_BUCKETS_S,
)


def measured(app: App) -> App:
    """An ASGI app that counts and times the requests of another."""

    async def measure(scope: Scope, receive: Receive, send: Send) -> None:
        started_s = perf_counter()
        status = 500

        async def watch(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            # Names that clients make up must not become labels.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            labels = method, scope.get("path_template", "unmatched"), str(status)
            REQUESTS.labels(*labels).inc()
            SECONDS.labels(*labels).observe(perf_counter() - started_s)

    return measure


@get("/metrics", public=True, include_in_schema=False, sync_to_thread=False)
def metrics(overload: Overload) -> Response[bytes]:
    """All metrics of the process, as Prometheus reads them."""
    overload.reasons()  # its gauges show what was looked at last
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
