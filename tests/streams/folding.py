"""Folding events whose ids and times matter: a rehearsal that is told them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from schemas.event import Data
from schemas.privacy import SubjectErased
from streams.rehearsal import TENANT, Rehearsal
from streams.views import View

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

    def event(self, data: Data, tenant: str = TENANT) -> Any:
        return replace(super().event(data, tenant), **self._told)

    def erase(self, subject: str) -> "Folding":
        return self.fold(SubjectErased(subject))

    def row(self, view: type[View], *key: Any, tenant: str = TENANT) -> Any:
        return self.store.views(tenant).get(view, *key)

    def keys(self, view: type[View], tenant: str = TENANT) -> list[tuple[Any, ...]]:
        """The keys of a view's rows, in order."""
        scope = "" if view.GLOBAL else tenant
        return sorted(key for by, key in self.store.rows.get(view, {}) if by == scope)


def days(n: float) -> timedelta:
    return timedelta(days=n)
