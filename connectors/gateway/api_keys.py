"""The API keys that tenants manage: how they are made, found, and let take effect."""

from contextlib import suppress

from connectors.gateway.auth import ADMIN, Authenticator, Caller
from connectors.gateway.idempotency import EventIds
from connectors.gateway.problems import Problem, not_found
from streams.access.secrets import ApiKeyText
from streams.access.views import ApiKey
from streams.errors import NotYetApplied
from streams.log import Position
from streams.vault import Vault
from streams.views import View, ViewStore


class ApiKeys:
    """What the routes of keys share."""

    def __init__(
        self, vault: Vault, store: ViewStore, authenticator: Authenticator, timeout_s: float
    ) -> None:
        self.vault = vault
        self._store = store
        self._authenticator = authenticator
        self._timeout_s = timeout_s

    def text(self, tenant: str, purpose: str, ids: EventIds) -> ApiKeyText:
        """A new key, or the one that was made when this request came before."""
        if ids.idempotency_key is None:
            return ApiKeyText.fresh()
        return ApiKeyText.derived(self.vault, tenant, purpose, ids.idempotency_key)

    async def managed(self, key: str, caller: Caller) -> ApiKey:
        """A key that the caller may manage.

        Raises:
            Problem: 404: there is none, or it is another tenant's; 403: it may do more than the
                caller, who would get hold of its scopes.
        """
        row = await self._store.get(ApiKey, "", (key,))
        if row is None or (row.tenant != caller.tenant and not caller.may(ADMIN)):
            not_found("API key", key)
        refuse_more_than_own(row.scopes, caller)
        return row

    async def settle(self, view: type[View], key: str, position: str) -> None:
        """Let a change take effect here, so that the caller can rely on it.

        If the view does not follow in time, the change takes effect later: it is durable.
        """
        with suppress(NotYetApplied):
            await self._store.wait(view, Position.parse(position), self._timeout_s)
        self._authenticator.forget(key)


def refuse_more_than_own(scopes: tuple[str, ...] | list[str], caller: Caller) -> None:
    """Nobody gives others, or takes over, more than they have.

    Raises:
        Problem: 403, naming the scope.
    """
    for scope in scopes:
        if not caller.may(scope):
            raise Problem(
                403,
                f"the caller does not have the scope {scope!r} itself",
                members={"scope": scope},
            )


def tenant_of(caller: Caller, named: str | None) -> str:
    """The tenant that a request is about: the caller's own, or the one that an admin names.

    Raises:
        Problem: 403: somebody else names another tenant.
    """
    if named is None or named == caller.tenant:
        return caller.tenant
    if not caller.may(ADMIN):
        raise Problem(403, f"another tenant needs the scope {ADMIN!r}", members={"scope": ADMIN})
    return named
