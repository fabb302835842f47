"""Deprecation: what goes from the API says so for at least 30 days before (RFC 9745, RFC 8594)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from typing import Any

from connectors.errors import ConnectorError

_NOTICE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A route (`@get(…, deprecation=…)`) or a field (`Body.DEPRECATED`) that will be removed.

    Attributes:
        since: when it was deprecated.
        sunset: when it will be gone.

    Raises:
        ConnectorError: that is too soon.
    """

    since: date
    sunset: date

    def __post_init__(self) -> None:
        if self.sunset - self.since < _NOTICE:
            raise ConnectorError(f"sunset {self.sunset}: give {_NOTICE.days} days of notice")

    def headers(self) -> Iterator[tuple[bytes, bytes]]:
        """The headers of an answer that involves it."""
        since, sunset = (datetime.combine(day, time(), UTC) for day in (self.since, self.sunset))
        yield b"deprecation", f"@{int(since.timestamp())}".encode()
        yield b"sunset", format_datetime(sunset, usegmt=True).encode()


def deprecate(scope: Any, deprecation: Deprecation) -> None:
    """Note that a request uses something deprecated."""
    scope["state"]["deprecation"] = deprecation


def deprecation_of(scope: Any) -> Deprecation | None:
    """What deprecated thing a request uses, if any: its route, or else a field."""
    handler = scope.get("route_handler")
    of_route: Deprecation | None = handler.opt.get("deprecation") if handler else None
    return of_route or scope["state"].get("deprecation")
