"""The API: a Litestar app around what handlers are given and what every answer has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, cast

from litestar import Litestar, Request, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.params import FromQuery
from litestar.types import ControllerRouterHandler, Message

from connectors.errors import ConnectorError
from connectors.gateway import docs, events, health, keys, metrics, signing_keys, welcome
from connectors.gateway.api_keys import ApiKeys
from connectors.gateway.auth import Authenticator
from connectors.gateway.bodies import StrictRequest
from connectors.gateway.cursors import Cursors, Paging
from connectors.gateway.deprecation import deprecation_of
from connectors.gateway.given import Caller, Limit
from connectors.gateway.head import HeadLikeGet
from connectors.gateway.idempotency import EventIds
from connectors.gateway.intake import Intake
from connectors.gateway.log import Log, position_header, trace_of
from connectors.gateway.methods import note_methods, with_methods
from connectors.gateway.metrics import App, measured
from connectors.gateway.openapi import complete, openapi
from connectors.gateway.overload import Overload
from connectors.gateway.parameters import note_parameters, refuse_unknown
from connectors.gateway.problems import HANDLERS
from connectors.gateway.readiness import Check, Readiness
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.views import Views
from schemas.catalog import Catalog
from streams import log as log_port
from streams.log import Position
from streams.sealing import Origin, Sealer
from streams.vault import Vault
from streams.views import ViewStore


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """What the API stands on.

    Attributes:
        overload: whether there is room for more writes.
        checks: what else must be ready before `/health/ready` says so, by name.
        services: what handlers of systems ask for beside `caller`, `log`, `views` and `paging`,
            by the name of their argument.
    """

    settings: GatewaySettings
    catalog: Catalog
    log: log_port.Log
    store: ViewStore
    vault: Vault
    overload: Overload = field(default_factory=Overload)
    checks: Mapping[str, Check] = field(default_factory=dict)
    services: Mapping[str, object] = field(default_factory=dict)
    now: Callable[[], datetime] = _utc_now


def make_app(deps: Deps, routes: Sequence[ControllerRouterHandler]) -> App:
    """The ASGI app with the platform's own routes and those of the systems.

    Every route says who may use it, by `scope="…"` or by `public=True`. One whose scope ends with
    `:write` is closed while there is too much to write already (see `Overload`).

    Raises:
        ConnectorError: a route does not.
    """
    settings = deps.settings
    authenticator = Authenticator(deps.store, deps.vault, settings.jwt_leeway_s)
    scoped = _Scoped(deps)
    services = {
        "overload": deps.overload,
        "readiness": Readiness(deps.checks, deps.overload),
        "api_keys": ApiKeys(deps.vault, deps.store, authenticator, settings.applied_timeout_s),
        "intake": Intake(deps.catalog, scoped.sealer, deps.vault, settings.max_event_bytes),
        **deps.services,
    }
    app = Litestar(
        [
            *(health.live, health.ready, metrics.metrics),
            *(docs.page, docs.start, docs.asset),
            *welcome.ROUTES,
            *keys.ROUTES,
            *signing_keys.ROUTES,
            Router(
                "/",
                route_handlers=[events.post_events],
                request_max_body_size=settings.max_batch_bytes,
            ),
            *routes,
        ],
        guards=[authenticator.authorize, refuse_unknown, deps.overload.admit],
        dependencies={
            "caller": Provide(_caller, sync_to_thread=False),
            "log": Provide(scoped.log, sync_to_thread=False),
            "views": Provide(scoped.views, sync_to_thread=False),
            "paging": Provide(scoped.paging, sync_to_thread=False),
            **{name: _given(service) for name, service in services.items()},
        },
        request_class=StrictRequest,
        request_max_body_size=settings.max_body_bytes,
        exception_handlers=HANDLERS,
        before_send=[_add_headers],
        openapi_config=openapi(version("sixfold")),
        cors_config=_cors(settings.cors_origins) if settings.cors_origins else None,
        logging_config=None,
        plugins=[HeadLikeGet()],
        state=State({"public_url": settings.public_url}),
    )
    _check_access(app)
    note_methods(app)
    note_parameters(app)
    complete(app)
    return measured(cast(App, app))


class _Scoped:
    """Makes what handlers get for one request."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.sealer = Sealer(deps.catalog, deps.vault)

    def log(self, request: Request[Any, Any, Any], caller: Caller) -> Log:
        now = self._deps.now()
        headers = request.headers
        origin = Origin(
            source=f"client/{caller.key}",
            tenant=caller.tenant,
            time=now,
            traceparent=trace_of(headers.get("traceparent")),
        )
        ids = EventIds(caller.tenant, headers.get("Idempotency-Key"), int(now.timestamp() * 1000))
        positions: list[Position] = request.state.setdefault("positions", [])
        return Log(self._deps.log, self.sealer, origin, ids, positions.extend)

    def views(self, request: Request[Any, Any, Any], caller: Caller) -> Views:
        after = request.headers.get("Sixfold-After")
        return Views(
            self._deps.store,
            self.sealer,
            caller.tenant,
            None if after is None else Position.parse(after),
            self._deps.settings.applied_timeout_s,
        )

    def paging(
        self,
        request: Request[Any, Any, Any],
        caller: Caller,
        cursor: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Paging:
        cursors = Cursors(self._deps.vault, caller.tenant, request.scope["path_template"])
        return Paging(cursors, cursor, limit)


def _cors(origins: Sequence[str]) -> CORSConfig:
    exposed = ["Sixfold-Position", "Retry-After", "Deprecation", "Sunset"]
    return CORSConfig(allow_origins=list(origins), expose_headers=exposed)


def _caller(request: Request[Any, Any, Any]) -> Caller:
    caller: Caller = request.user
    return caller


def _given(service: object) -> Provide:
    return Provide(lambda: service, use_cache=True, sync_to_thread=False)


async def _add_headers(message: Message, scope: Any) -> None:
    """Every answer says where its writes are, and what of the API it used will go."""
    if message["type"] != "http.response.start":
        return
    headers = with_methods(list(message["headers"]), scope)
    state: State = scope["state"]
    position = position_header(state.get("positions", []))
    if position is not None:
        headers.append((b"sixfold-position", position.encode()))
    deprecation = deprecation_of(scope)
    if deprecation is not None:
        headers += deprecation.headers()
    message["headers"] = headers


def _check_access(app: Litestar) -> None:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            opt = handler.opt
            if handler.http_methods != {"OPTIONS"} and not ("scope" in opt or "public" in opt):
                raise ConnectorError(f"route {route.path}: give it a scope, or say public=True")
