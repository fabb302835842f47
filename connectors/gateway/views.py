"""The views as one request sees them: its tenant's, and no older than it asks."""

from streams import views as port
from streams.log import Position
from streams.views import ViewStore


class Views(port.Views):
    """Views that a handler can also ask for what it has just written."""

    def __init__(
        self, store: ViewStore, tenant: str, after: Position | None, timeout_s: float
    ) -> None:
        super().__init__(store, tenant, after, timeout_s)
        self._parts = store, tenant, timeout_s

    def after(self, position: str) -> "Views":
        """The same views, no older than a position."""
        store, tenant, timeout_s = self._parts
        return Views(store, tenant, Position.parse(position), timeout_s)

    def of_tenant(self, tenant: str) -> "Views":
        """Another tenant's views; for callers who may act in every tenant."""
        store, _, timeout_s = self._parts
        return Views(store, tenant, self._after, timeout_s)
