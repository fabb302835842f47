"""The routes of short links: what the front does not answer from memory."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod, RequestEncodingType
from litestar.params import Body, FromPath

from connectors.gateway.links.encoding import Hit
from connectors.gateway.links.redirect import Redirects, Visitor
from connectors.gateway.openapi import Answer

_MAX_FORM_BYTES = 4_096


_FOLLOWED = {
    200: Answer("A form for the link's password."),
    302: Answer("The link's target, or the one for its end; 301, 307 or 308 if it was made so."),
    401: Answer("The link is audited, and nobody is signed in."),
    404: Answer("There is no such link."),
    410: Answer("The link has ended, is switched off, or was deleted."),
    503: Answer("Whether there is such a link, or its click, cannot be made sure of now."),
}

_UNLOCKED = {
    303: Answer("The link's target."),
    403: Answer("The form again: it was another password."),
    404: _FOLLOWED[404],
    410: _FOLLOWED[410],
    429: Answer("The form again: there were too many wrong tries."),
    503: _FOLLOWED[503],
}


class PasswordForm(msgspec.Struct):
    """What the form for a password sends."""

    password: str


@route(
    "/{key:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    public=True,
    answers=_FOLLOWED,
    tags=["links"],
)
async def follow(
    request: Request[Any, Any, Any], key: FromPath[str], redirects: NamedDependency[Redirects]
) -> Response[Any]:
    """Follow a short link.

    A link that has ended answers 410, or leads to its `expired_url`; one with a password answers
    with a form; an audited one needs the token of a user. Parameters of the short URL are not
    passed on; those named utm_… are counted.
    """
    return await redirects.follow(key, _visitor(request, redirects.now_ms()))


@post(
    "/{key:str}",
    public=True,
    answers=_UNLOCKED,
    tags=["links"],
    request_max_body_size=_MAX_FORM_BYTES,
)
async def unlock(
    request: Request[Any, Any, Any],
    key: FromPath[str],
    redirects: NamedDependency[Redirects],
    data: Annotated[PasswordForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[Any]:
    """Follow a short link that has a password.

    Three wrong tries a minute for each link and client address; then 429. The answer is a 303
    whatever the link's code is, so that the password goes no further.
    """
    visitor = _visitor(request, redirects.now_ms())
    return await redirects.follow(key, visitor._replace(password=data.password))


ROUTES = [follow, unlock]


def _visitor(request: Request[Any, Any, Any], now_ms: int) -> Visitor:
    scope: Any = request.scope
    client = scope["client"]
    hit = Hit(
        now_ms,
        request.method,
        scope["query_string"],
        scope["headers"],
        client[0] if client else "",
    )
    headers = request.headers
    return Visitor(
        hit, headers.get("Authorization"), wants_page="text/html" in headers.get("Accept", "")
    )
