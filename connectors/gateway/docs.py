"""Swagger UI at `/docs`; its JavaScript comes from a Python package, not from a CDN."""

from importlib.resources import files

from litestar import Response, get
from litestar.params import FromPath

from connectors.gateway.problems import not_found

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
