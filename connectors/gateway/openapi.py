"""The API's description (OpenAPI 3.1) at `/openapi.json`."""

from typing import Any

from litestar import Litestar, Response, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    License,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.routes import HTTPRoute

from connectors.gateway.problems import MEDIA_TYPE, Problem

_TEXT = Schema(type=OpenAPIType.STRING)
_NUMBER = Schema(type=OpenAPIType.INTEGER)

_PROBLEM = Schema(
    type=OpenAPIType.OBJECT,
    description="Why a request was refused, and what to do about it (RFC 9457).",
    required=["title", "status", "detail"],
    properties={
        "title": _TEXT,
        "status": _NUMBER,
        "detail": _TEXT,
        "errors": Schema(
            type=OpenAPIType.ARRAY,
            description="What is wrong with single fields, parameters or headers.",
            items=Schema(
                type=OpenAPIType.OBJECT,
                required=["field", "message"],
                properties={"field": _TEXT, "message": _TEXT, "index": _NUMBER},
            ),
        ),
    },
)

_REFUSAL = OpenAPIResponse(
    description="A problem",
    content={MEDIA_TYPE: OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))},
)


def openapi(version: str) -> OpenAPIConfig:
    """How Litestar describes the API."""
    bearer = SecurityScheme(
        type="http",
        scheme="bearer",
        description="An API key (`sk_…`), or a JWT signed by one of your signing keys.",
    )
    return OpenAPIConfig(
        title="Sixfold",
        version=version,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        components=Components(security_schemes={"bearer": bearer}),
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path="/")],
        openapi_router=Router(
            "/openapi.json",
            route_handlers=[],
            include_in_schema=False,
            after_request=_not_found_as_problem,
            opt={"public": True},
        ),
    )


def complete(app: Litestar) -> None:
    """Add to the description what Litestar cannot know: scopes, and that errors are problems."""
    description = app.openapi_schema
    schemas: dict[str, Any] = description.components.schemas or {}
    description.components.schemas = schemas | {"Problem": _PROBLEM}
    for route in app.routes:
        item = (description.paths or {}).get(getattr(route, "path_format", ""))
        if item is None or not isinstance(route, HTTPRoute):
            continue
        item.head = None  # as GET, without the body: nothing to say of it
        for handler in route.route_handlers:
            for method in handler.http_methods:
                operation = getattr(item, method.lower())
                if operation is not None:
                    _complete(operation, handler)


def _complete(operation: Operation, handler: HTTPRouteHandler) -> None:
    title, _, rest = (operation.description or "").partition("\n\n")
    operation.summary = title.rstrip(".")
    operation.description = rest or None
    operation.deprecated = "deprecation" in handler.opt
    body, data = operation.request_body, handler.parsed_data_field
    if isinstance(body, RequestBody) and data is not None and data.has_default:
        body.required = False
    scope = handler.opt.get("scope")
    operation.security = [{"bearer": [scope]}] if scope else []
    succeeds = {s: r for s, r in (operation.responses or {}).items() if s < "400"}
    operation.responses = {**succeeds, "default": _REFUSAL}


def _not_found_as_problem(response: Response[Any]) -> Response[Any]:
    """Litestar answers 404 below its router with a page."""
    if response.status_code == 404:
        return Problem(404, "there is only /openapi.json here").response()
    return response
