"""Problems: how the gateway says no (RFC 9457, `application/problem+json`)."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from connectors.errors import ConnectorError
from schemas.patterns import in_words
from streams.errors import (
    BadPosition,
    Erased,
    LogUnavailable,
    NotYetApplied,
    RuleBroken,
    Tampered,
    VaultError,
)

MEDIA_TYPE = "application/problem+json"

# The log's writer and the folds recover within seconds; asking again sooner only adds load.
RETRY_AFTER_S = 1

logger = structlog.get_logger(__name__)


class FieldError(msgspec.Struct, omit_defaults=True):
    """What is wrong with one field of a request.

    Attributes:
        field: its path in the body, or the name of the parameter or header.
        index: which event of a batch.
    """

    field: str
    message: str
    index: int | None = None


class Problem(ConnectorError):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe the error.

        Args:
            detail: what is wrong, and what to do about it.
            errors: which fields are wrong.
            members: further members of the problem.
        """
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def body(self) -> bytes:
        """The problem as JSON."""
        problem: dict[str, Any] = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            problem["errors"] = self.errors
        return msgspec.json.encode(problem | self.members)

    def response(self) -> Response[bytes]:
        """The problem as Litestar sends it."""
        return Response(
            self.body(), status_code=self.status, media_type=MEDIA_TYPE, headers=self.headers
        )

    def wire(self) -> bytes:
        """The problem as a whole HTTP/1.1 response, after which the connection is closed."""
        body = self.body()
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"content-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        return head.encode() + body


def bad_field(field: str, message: str) -> Problem:
    """A 400 for one wrong field, parameter or header."""
    return Problem(400, f"{field}: {message}", errors=[FieldError(field, message)])


def not_found(noun: str, name: str) -> NoReturn:
    """Answer 404: there is no such thing, or it is another tenant's.

    Raises:
        Problem: always.
    """
    raise Problem(404, f"there is no {noun} {name!r}")


# What msgspec says: "Object missing required field `b` - at `$.a`".
_MSGSPEC = re.compile(r"(?P<message>.*?)(?: - at `(?:key` in `)?\$(?P<path>.*)`)?", re.DOTALL)
_NAMED_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(?P<name>.*)`")


def invalid(error: msgspec.DecodeError | UnicodeDecodeError, root: str = "") -> FieldError:
    """Which field msgspec stumbled on, and why.

    Args:
        root: the field that was decoded, if it was not the whole body.
    """
    match = _MSGSPEC.fullmatch(str(error))
    assert match is not None  # the pattern matches any text
    message, path = match["message"], match["path"] or ""
    named = _NAMED_FIELD.match(message)
    parts = [root, path.lstrip("."), named["name"] if named else ""]
    return FieldError(".".join(part for part in parts if part) or "body", in_words(message))


def _from_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    detail, errors = error.detail, []
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        errors = [_litestar_field(found) for found in error.extra]
        detail = "; ".join(f"{e.field}: {e.message}" for e in errors)
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = "the body is larger than this route takes: send less at once"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _not_allowed(request.method, error.headers or {}).response()
    return Problem(error.status_code, detail, errors=errors, headers=error.headers).response()


def _not_allowed(method: str, headers: Mapping[str, str]) -> Problem:
    allowed = ", ".join(sorted(headers.get("allow", "").split(", ")))
    return Problem(405, f"{method} is not for this path: {allowed} are", headers={"Allow": allowed})


def _litestar_field(found: Mapping[str, str]) -> FieldError:
    """What Litestar found wrong; it gets to see a body only if there is none."""
    if found.get("key", "data") == "data":
        return FieldError("body", "is missing")
    return FieldError(found["key"], found["message"])


def _from_problem(_: Request[Any, Any, Any], error: Problem) -> Response[bytes]:
    return error.response()


def _from_rule(_: Request[Any, Any, Any], error: RuleBroken) -> Response[bytes]:
    return bad_field(error.field, error.reason).response()


def _from_position(_: Request[Any, Any, Any], error: BadPosition) -> Response[bytes]:
    return bad_field("Sixfold-After", str(error)).response()


def _from_erased(_: Request[Any, Any, Any], error: Erased) -> Response[bytes]:
    return Problem(410, str(error)).response()


def _from_not_yet(_: Request[Any, Any, Any], error: NotYetApplied) -> Response[bytes]:
    return _unavailable(str(error))


def _from_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    # The error speaks to the operator, of files and disks; the client can only try again.
    logger.warning("request refused for now", route=_route(request), error=str(error))
    return _unavailable("the platform cannot do this now: try again")


def _unavailable(detail: str) -> Response[bytes]:
    return Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)}).response()


def _from_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    logger.error("request failed", method=request.method, route=_route(request), exc_info=error)
    return Problem(500, "the gateway failed at this request; its log says why").response()


def _route(request: Request[Any, Any, Any]) -> str:
    route: str = request.scope.get("path_template", "unmatched")
    return route


HANDLERS: dict[int | type[Exception], Any] = {
    Problem: _from_problem,
    HTTPException: _from_litestar,
    RuleBroken: _from_rule,
    BadPosition: _from_position,
    Erased: _from_erased,
    Tampered: _from_bug,
    NotYetApplied: _from_not_yet,
    LogUnavailable: _from_unavailable,
    VaultError: _from_unavailable,
    Exception: _from_bug,
}
