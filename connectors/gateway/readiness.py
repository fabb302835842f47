"""Whether this process is ready for traffic."""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from connectors.gateway.overload import Overload

# Tells why something is not ready; None: it is.
Check = Callable[[], Awaitable[str | None]]

logger = structlog.get_logger(__name__)


class Readiness:
    """What must be ready before requests are welcome."""

    def __init__(self, checks: Mapping[str, Check], overload: Overload) -> None:
        self._checks = checks
        self._overload = overload

    async def reasons(self) -> dict[str, str]:
        """What is not ready, and why."""
        reasons = dict(self._overload.reasons())
        for name, check in self._checks.items():
            try:
                reason = await check()
            except Exception as error:
                logger.exception("readiness check failed", check=name)
                reason = f"the check failed: {type(error).__name__}"
            if reason is not None:
                reasons[name] = reason
        return reasons
