"""Health: whether the process lives, and whether it is ready for traffic."""

from litestar import get

from connectors.gateway.given import Readiness
from connectors.gateway.problems import Problem


@get("/health/live", public=True, include_in_schema=False, sync_to_thread=False)
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@get("/health/ready", public=True, include_in_schema=False)
async def ready(readiness: Readiness) -> dict[str, str]:
    """Every check passes; 503 and the reasons if not."""
    reasons = await readiness.reasons()
    if reasons:
        raise Problem(503, "not ready: " + ", ".join(reasons), members={"reasons": reasons})
    return {"status": "ready"}
