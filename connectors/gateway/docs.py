"""`/openapi.json`, and Swagger UI at `/docs`; its JavaScript comes from a Python package."""

from importlib.resources import files
from typing import Any

from litestar import Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.params import FromPath

from connectors.gateway.problems import Problem, not_found

_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}

_START = b"""\
SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true});
"""

_PAGE = b"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sixfold API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""

# Swagger UI sets inline styles, and draws its icons from data URLs.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


@get("/docs", public=True, include_in_schema=False, sync_to_thread=False)
def page() -> Response[bytes]:
    """The API's documentation."""
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@get("/docs/start.js", public=True, include_in_schema=False, sync_to_thread=False)
def start() -> Response[bytes]:
    """What shows the documentation; a file of its own, since the policy forbids inline scripts."""
    return Response(_START, media_type="text/javascript")


@get("/docs/{name:str}", public=True, include_in_schema=False, sync_to_thread=True)
def asset(name: FromPath[str]) -> Response[bytes]:
    """A file of Swagger UI."""
    if name not in _ASSETS:
        not_found("file", name)
    (distribution,) = files("swagger_ui_bundle").joinpath("vendor").iterdir()  # one version of it
    content = distribution.joinpath(name).read_bytes()
    return Response(content, media_type=_ASSETS[name], headers={"Cache-Control": "max-age=86400"})


def openapi(version: str) -> OpenAPIConfig:
    """The API's description, served at `/openapi.json`."""
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
        security=[{"bearer": []}],
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


def _not_found_as_problem(response: Response[Any]) -> Response[Any]:
    """Litestar answers 404 below its router with a page."""
    if response.status_code == 404:
        return Problem(404, "there is only /openapi.json here").response()
    return response
