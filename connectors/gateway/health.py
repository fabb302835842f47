"""Health: whether the process lives, and whether it is ready for traffic."""

from litestar import route
from litestar.enums import HttpMethod

from connectors.gateway.given import Readiness
from connectors.gateway.problems import Problem

_METHODS = [HttpMethod.GET, HttpMethod.HEAD]  # load balancers ask by either


@route(
    "/health/live", http_method=_METHODS, public=True, include_in_schema=False, sync_to_thread=False
)
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@route("/health/ready", http_method=_METHODS, public=True, include_in_schema=False)
async def ready(readiness: Readiness) -> dict[str, str]:
    """Every check passes; 503 and the reasons if not."""
    reasons = await readiness.reasons()
    if reasons:
        raise Problem(503, "not ready: " + ", ".join(reasons), members={"reasons": reasons})
    return {"status": "ready"}
