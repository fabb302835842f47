"""`Idempotency-Key`: a request that is repeated makes the same events, and folds drop repeats.

An event's id is a hash of tenant, key, the event's index in the request and its bytes as they were
posted, so no gateway needs to remember anything: folds know the ids of clients' events for 7 days.
Another body under the same key is other events, of which none is lost. A request that was refused
has appended nothing, so it does not use its key up. Ids so derived have 1970 as their time, because
they must be the same whenever the request comes again.
"""

import re

from connectors.gateway.problems import bad_field
from schemas.ids import derived_id, uuid7

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class EventIds:
    """The ids of the events of one request."""

    def __init__(self, tenant: str, idempotency_key: str | None, now_ms: int) -> None:
        """Begin with the first event.

        Raises:
            Problem: 400: the key is not one.
        """
        if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
            raise bad_field("Idempotency-Key", "1 to 255 visible ASCII characters, no spaces")
        self._tenant = tenant
        self.idempotency_key = idempotency_key
        self._now_ms = now_ms
        self._count = 0

    def at(self, index: int, posted: bytes = b"") -> str:
        """The id of the event with this index.

        Args:
            posted: the event as the client has sent it, if it was the client who made it.
        """
        if self.idempotency_key is None:
            return uuid7(self._now_ms)
        return derived_id(0, self._tenant, self.idempotency_key, index, posted)

    def next(self) -> str:
        """The id of the next event."""
        self._count += 1
        return self.at(self._count - 1)
