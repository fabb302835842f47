"""Who is calling: API keys of services, and JWTs of their end users (RFC 6750, RFC 8725)."""

import asyncio
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jwt
import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from connectors.gateway.problems import Problem
from connectors.gateway.recent import Recent
from schemas.fields import Subject
from streams.access.secrets import ApiKeyText
from streams.access.views import ApiKey, SigningKey
from streams.errors import Erased
from streams.vault import MAX_PERSON, Vault
from streams.views import ViewStore

ADMIN = "admin"  # everything, in every tenant
SCOPES = frozenset(
    {"events:write", "links:read", "links:write", "links:delete", "keys:admin", ADMIN}
)

# A revoked key is refused within a second: half of it for this cache, half for the view to follow.
_MAX_AGE_S = 0.5
_MAX_ENTRIES = 4_096

# A token's claims are read only after its signature was verified; aud and exp must be there.
_REQUIRED_CLAIMS = ["aud", "exp"]

_DOTS_OF_A_JWT = 2  # header.claims.signature (RFC 7519, section 3)


class Caller(msgspec.Struct, frozen=True):
    """Who sent a request.

    Attributes:
        key: the id of the API key, or of the key that signed the token.
        subject: the end user, if it was sent in the name of one.
    """

    tenant: str
    key: str
    scopes: frozenset[str]
    subject: Subject | None = None

    def may(self, scope: str) -> bool:
        """Whether this caller was given a scope."""
        return scope in self.scopes or ADMIN in self.scopes


class Authenticator:
    """Tells callers by their `Authorization` header."""

    def __init__(
        self,
        store: ViewStore,
        vault: Vault,
        leeway_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask these for keys and secrets.

        Args:
            leeway_s: how far clocks of token issuers may be off.
            clock: what the age of cached keys is measured by.
        """
        self._store = store
        self._vault = vault
        self._leeway_s = leeway_s
        self._api_keys: Recent[str, ApiKey] = Recent(_MAX_ENTRIES, _MAX_AGE_S, clock)
        self._signing_keys: Recent[str, SigningKey] = Recent(_MAX_ENTRIES, _MAX_AGE_S, clock)
        self._secrets: Recent[tuple[str, str], bytes] = Recent(_MAX_ENTRIES, _MAX_AGE_S, clock)
        self._subjects: Recent[tuple[str, str], Subject] = Recent(_MAX_ENTRIES, _MAX_AGE_S, clock)

    async def authorize(self, request: ASGIConnection[Any, Any, Any, Any], _: Any) -> None:
        """A guard of all routes: those that declare a scope need a caller who has it.

        Raises:
            Problem: 401 or 403.
        """
        handler: BaseRouteHandler = request.route_handler
        scope: str | None = handler.opt.get("scope")
        if scope is None:
            return
        caller = await self.caller(request.headers.get("Authorization"), datetime.now(UTC))
        if not caller.may(scope):
            raise Problem(
                403,
                f"this needs the scope {scope!r}, which the caller does not have",
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
                members={"scope": scope},
            )
        request.scope["user"] = caller

    async def caller(self, authorization: str | None, now: datetime) -> Caller:
        """Who an `Authorization` header speaks of.

        Raises:
            Problem: 401: nobody that we know.
        """
        if authorization is None:
            raise _unauthorized("this needs credentials: send Authorization: Bearer …")
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized("credentials are sent as Authorization: Bearer …")
        text = ApiKeyText.parse(credentials.strip())
        if text is not None:
            return await self._by_api_key(text, now)
        if credentials.count(".") != _DOTS_OF_A_JWT:
            raise _bad_credentials("these credentials are neither an API key (sk_…) nor a JWT")
        return await self._by_token(credentials.strip())

    def forget(self, key: str) -> None:
        """Look a key up again, since it has changed."""
        self._api_keys.forget(key)
        self._signing_keys.forget(key)

    async def _by_api_key(self, text: ApiKeyText, now: datetime) -> Caller:
        row = await self._api_keys.get(text.key, lambda: self._store.get(ApiKey, "", (text.key,)))
        if row is None or not _is_good(row, text.hash(self._vault), now):
            raise _bad_credentials("this API key is unknown, revoked or expired")
        return Caller(row.tenant, row.key, frozenset(row.scopes))

    async def _by_token(self, token: str) -> Caller:
        try:
            kid = str(jwt.get_unverified_header(token).get("kid"))
            row = await self._signing_keys.get(kid, lambda: self._store.get(SigningKey, "", (kid,)))
            if row is None:
                raise _bad_credentials("the token's kid is not one of ours")
            claims = jwt.decode(
                token,
                await self._verifier(row),
                algorithms=[row.algorithm],
                audience=row.audience,
                leeway=self._leeway_s,
                options={"require": _REQUIRED_CLAIMS},
            )
        except jwt.InvalidTokenError as error:
            raise _bad_credentials(f"the token is no good: {error}") from error
        return Caller(
            row.tenant, row.key, _granted(row, claims), await self._subject(row.tenant, claims)
        )

    async def _verifier(self, row: SigningKey) -> Any:
        if row.public_key is not None:
            return _public_key(row.algorithm, row.public_key)
        name = row.secret or ""
        secret = await self._secrets.get(
            (row.tenant, name), lambda: asyncio.to_thread(self._vault.secret, row.tenant, name)
        )
        if secret is None:
            raise _bad_credentials("the secret of the token's kid is gone")
        return secret

    async def _subject(self, tenant: str, claims: dict[str, Any]) -> Subject | None:
        person = claims.get("sub")
        if person is None:
            return None
        if not 1 <= len(person) <= MAX_PERSON:
            raise _bad_credentials(f"the token's sub must have 1 to {MAX_PERSON} characters")
        try:
            return await self._subjects.get(
                (tenant, person),
                lambda: asyncio.to_thread(self._vault.pseudonym, tenant, person),
            )
        except Erased as error:
            raise _bad_credentials("the token's subject was erased") from error


def _is_good(row: ApiKey, given: str, now: datetime) -> bool:
    """Whether a hash is the key's, and still good; takes the same time for all wrong hashes."""
    current = hmac.compare_digest(given, row.secret_hash)
    previous = hmac.compare_digest(given, row.previous_hash or row.secret_hash)
    previous_until = row.previous_until or now
    expired = row.expires_at is not None and row.expires_at <= now
    return not expired and (current or (previous and now < previous_until))


def _granted(row: SigningKey, claims: dict[str, Any]) -> frozenset[str]:
    """What a token may do: what its key gives, or the part of it that its `scope` claim names."""
    given = frozenset(row.scopes)
    claimed = claims.get("scope")
    return given if claimed is None else given & frozenset(str(claimed).split())


@lru_cache(maxsize=1_024)
def _public_key(algorithm: str, pem: str) -> Any:
    return jwt.get_algorithm_by_name(algorithm).prepare_key(pem)


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="sixfold"'})


def _bad_credentials(detail: str) -> Problem:
    challenge = 'Bearer realm="sixfold", error="invalid_token"'
    return Problem(401, detail, headers={"WWW-Authenticate": challenge})
