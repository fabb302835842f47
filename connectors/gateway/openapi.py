"""The API's description (OpenAPI 3.1) at `/openapi.json`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
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

from connectors.gateway.auth import SCOPES
from connectors.gateway.bodies import Body
from connectors.gateway.docstrings import attributes_of
from connectors.gateway.problems import MEDIA_TYPE, Problem
from schemas.fields import field_types, walk

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


class Answer(NamedTuple):
    """One of several answers of a route, which says them as `answers={status: Answer(…)}`.

    Attributes:
        struct: what is in the JSON of it, if anything; the handler must be annotated with it too.
    """

    description: str
    struct: type[msgspec.Struct] | None = None

    def response(self) -> OpenAPIResponse:
        """As OpenAPI has it."""
        if self.struct is None:
            return OpenAPIResponse(description=self.description)
        reference = Reference(ref=f"#/components/schemas/{self.struct.__name__}")
        content = {"application/json": OpenAPIMediaType(schema=reference)}
        return OpenAPIResponse(description=self.description, content=content)


def complete(app: Litestar) -> None:
    """Add to the description what Litestar cannot know: scopes, fields, and that errors are problems."""
    description = app.openapi_schema
    schemas: dict[str, Any] = description.components.schemas or {}
    for struct in _structs(app):
        if struct.__name__ in schemas:
            _describe(schemas[struct.__name__], struct)
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
    answers: Mapping[int, Answer] = handler.opt.get("answers", {})
    told = {str(status): answer.response() for status, answer in answers.items()}
    succeeds = {s: r for s, r in (operation.responses or {}).items() if s < "400"}
    operation.responses = {**(told or succeeds), "default": _REFUSAL}


def _structs(app: Litestar) -> set[type[msgspec.Struct]]:
    """The structs that requests and answers are made of."""
    found: set[type[msgspec.Struct]] = set()
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for field in (handler.parsed_data_field, handler.parsed_return_field):
                _add_structs(field.raw if field else None, found)
    return found


def _add_structs(annotation: object, found: set[type[msgspec.Struct]]) -> None:
    for part in walk(annotation):
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part not in found:
            found.add(part)
            for field in field_types(part).values():
                _add_structs(field, found)


def _describe(schema: Schema, struct: type[msgspec.Struct]) -> None:
    """Say of each field of a struct what its docstring says, and which scopes there are."""
    properties = dict(schema.properties or {})
    for name, text in attributes_of(struct).items():
        if name in properties:
            properties[name] = replace(properties[name], description=text)
    scopes = properties.get("scopes")
    if issubclass(struct, Body) and isinstance(scopes, Schema):
        items = Schema(type=OpenAPIType.STRING, enum=sorted(SCOPES))
        properties["scopes"] = replace(scopes, items=items)
    schema.properties = properties


def _not_found_as_problem(response: Response[Any]) -> Response[Any]:
    """Litestar answers 404 below its router with a page."""
    if response.status_code == 404:
        return Problem(404, "there is only /openapi.json here").response()
    return response
