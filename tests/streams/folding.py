"""Folding events whose ids and times matter: a rehearsal that is told them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from schemas.envelope import encode
from schemas.event import Data
from schemas.privacy import SubjectErased
from streams.log import Entry
from streams.rehearsal import TENANT, Rehearsal
from streams.views import View, shape_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Folding(Rehearsal):
    """A fold at work."""

    def fold(
        self, *events: Data, tenant: str = TENANT, id: str | None = None, at: datetime = NOW
    ) -> "Folding":
        """Fold events that came at a time, perhaps with an id."""
        self._told = {"time": at} | ({"id": id} if id else {})
        super().fold(*events, tenant=tenant)
        return self

    def entry(self, data: Data, tenant: str) -> Entry:
        entry = super().entry(data, tenant)
        event: Any = self.catalog.decoder(entry.topic).one(entry.value)
        return entry._replace(value=encode(replace(event, **self._told)))

    def erase(self, subject: str) -> "Folding":
        return self.fold(SubjectErased(subject))

    @property
    def state(self) -> Any:
        return self._runner._state

    @property
    def rows(self) -> dict[str, Any]:
        """Every row of every view and tenant."""
        every = {
            f"{view.__name__} of {tenant}": self.views_of(tenant).slice(view)
            for view in self._fold.views
            for tenant in (TENANT, "other")
        }
        return {name: rows for name, rows in every.items() if rows}

    def row(self, view: type[View], *key: Any, tenant: str = TENANT) -> Any:
        return self.views_of(tenant).get(view, *key)

    def keys(self, view: type[View], tenant: str = TENANT) -> list[tuple[Any, ...]]:
        """The keys of a view's rows, in order."""
        names = shape_of(view).key
        return [tuple(getattr(row, n) for n in names) for row in self.views_of(tenant).slice(view)]


def days(n: float) -> timedelta:
    return timedelta(days=n)
