"""Folding events by hand: one partition of one fold, and what it has brought about so far."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from schemas.event import event_type_of
from streams.batch import Batch
from streams.cursor import Cursor
from streams.effects import Effects

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Folding:
    """A fold at work.

    Attributes:
        rows: by view, tenant and key.
        emitted: events, in order.
    """

    def __init__(self, module: Any):
        self._module = module
        self._cursor = Cursor(partition=0)
        self.state = module.State(self._cursor)
        self.rows: dict[Any, Any] = {}
        self.emitted: list[Any] = []
        self._offset = 0

    def fold(self, *events: Any, tenant: str = "acme", id: str = "", at: datetime = NOW):
        """Fold events as one batch; they get the ids id0, id1 … unless there is one to give."""
        envelopes = [
            SimpleNamespace(
                tenant=tenant,
                time=at,
                data=data,
                id=id or f"id{self._offset + i}",
                traceparent=None,
            )
            for i, data in enumerate(events)
        ]
        topic = event_type_of(type(events[0])).topic.name
        offsets = range(self._offset, self._offset + len(events))
        self._offset += len(events)
        self._cursor.point(topic, envelopes, offsets)
        out = Effects(self._cursor)
        self._module.fold(Batch(self._cursor), self.state, out)
        self._take(out)
        return self

    def erase(self, subject: str, tenant: str = "acme"):
        self._cursor.point("links", [SimpleNamespace(tenant=tenant)], [self._offset])
        self._cursor.at(0)
        out = Effects(self._cursor)
        self._module.erase(subject, self.state, out)
        self._take(out)
        return self

    def row(self, view: Any, *key: Any, tenant: str = "acme") -> Any:
        return self.rows.get((view, "" if view.GLOBAL else tenant, key))

    def keys(self, view: Any, tenant: str = "acme") -> list[tuple[Any, ...]]:
        """The keys of a view's rows, in order."""
        scope = "" if view.GLOBAL else tenant
        return sorted(key for of, by, key in self.rows if of is view and by == scope)

    def _take(self, out: Effects) -> None:
        self.state.accept()
        for view, changed in out.rows.items():
            for (tenant, key), (row, _) in changed.items():
                if row is None:
                    self.rows.pop((view, tenant, key), None)
                else:
                    self.rows[view, tenant, key] = row
        self.emitted += [emitted.data for emitted in out.emitted]


def days(n: float) -> timedelta:
    return timedelta(days=n)
