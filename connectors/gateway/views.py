"""The views as one request sees them: its tenant's, and no older than it asks."""

from streams import views as port
from streams.log import Position
from streams.views import Opener, ViewStore


class Views(port.Views):
    """Views that a handler can also ask for what it has just written."""

    def __init__(
        self,
        store: ViewStore,
        opener: Opener,
        tenant: str,
        after: Position | None,
        timeout_s: float,
    ) -> None:
        super().__init__(store, opener, tenant, after, timeout_s)

    def after(self, position: str) -> "Views":
        """The same views, no older than a position."""
        after = Position.parse(position)
        return Views(self._store, self._opener, self._tenant, after, self._timeout_s)

    def of_tenant(self, tenant: str) -> "Views":
        """Another tenant's views; for callers who may act in every tenant."""
        return Views(self._store, self._opener, tenant, self._after, self._timeout_s)
