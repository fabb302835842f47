"""Signing keys: whose tokens (JWTs) are let in as a tenant's end users."""

import asyncio
import secrets
from datetime import datetime
from typing import Annotated

import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from connectors.gateway.api_keys import tenant_of
from connectors.gateway.auth import ADMIN
from connectors.gateway.bodies import Body
from connectors.gateway.given import ApiKeys, Caller, Log, Paging, Views
from connectors.gateway.keys import check_scopes
from connectors.gateway.problems import bad_field, not_found
from schemas.access import Algorithm, SigningKeyAdded, SigningKeyRemoved
from schemas.patterns import Tenant
from streams.access.views import SigningKey, TenantSigningKey

_KID_BYTES = 8
# An HMAC key shorter than its hash is weaker than it (RFC 7518, section 3.2).
_MIN_SECRET = 32


class NewSigningKey(Body):
    """A key whose tokens shall be let in.

    Attributes:
        algorithm: the only one that its tokens may be signed with.
        audience: the `aud` that its tokens must have.
        scopes: what its tokens may do; their `scope` claim may narrow it.
        public_key: PEM; for every algorithm but HS256.
        secret: for HS256.
    """

    algorithm: Algorithm
    audience: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    scopes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    public_key: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    secret: Annotated[str, msgspec.Meta(min_length=_MIN_SECRET, max_length=1_000)] | None = None
    tenant: Tenant | None = None


class AddedSigningKey(msgspec.Struct):
    """A key whose tokens are let in.

    Attributes:
        kid: what its tokens must have as `kid` in their header.
    """

    kid: str
    tenant: str


class ShownSigningKey(msgspec.Struct):
    """A key whose tokens are let in, without its secret.

    Attributes:
        public_key: PEM; none for HS256.
    """

    kid: str
    algorithm: Algorithm
    audience: str
    scopes: tuple[str, ...]
    public_key: str | None
    added_at: datetime


class ShownSigningKeys(msgspec.Struct):
    """Some signing keys.

    Attributes:
        next: the cursor that the list goes on with; none at its end.
    """

    signing_keys: list[ShownSigningKey]
    next: str | None


@post("/api/v1/signing-keys", scope="keys:admin", tags=["keys"])
async def add_signing_key(
    data: JSONBody[NewSigningKey], caller: Caller, log: Log, api_keys: ApiKeys
) -> AddedSigningKey:
    """Let in the tokens that a key signs."""
    tenant = tenant_of(caller, data.tenant)
    check_scopes(data.scopes, caller)
    _check_key(data)
    kid = secrets.token_hex(_KID_BYTES)
    if data.secret is not None:
        secret = data.secret.encode()
        await asyncio.to_thread(api_keys.vault.put_secret, tenant, _secret_name(kid), secret)
    accepted = await log.of_tenant(tenant).append(
        SigningKeyAdded(
            key=kid,
            algorithm=data.algorithm,
            audience=data.audience,
            scopes=data.scopes,
            public_key=data.public_key,
            secret=None if data.secret is None else _secret_name(kid),
        )
    )
    await api_keys.settle(SigningKey, kid, accepted.position)
    return AddedSigningKey(kid, tenant)


@get("/api/v1/signing-keys", scope="keys:admin", tags=["keys"])
async def list_signing_keys(
    caller: Caller,
    views: Views,
    paging: Paging,
    tenant: FromQuery[str | None] = None,
) -> ShownSigningKeys:
    """List the keys whose tokens are let in, by their kids; never a secret."""
    tenant = tenant_of(caller, tenant)
    rows, cursor = paging.cut(await views.slice(TenantSigningKey, tenant, page=paging.page))
    shown = [
        ShownSigningKey(
            kid=row.key,
            algorithm=row.algorithm,
            audience=row.audience,
            scopes=row.scopes,
            public_key=row.public_key,
            added_at=row.added_at,
        )
        for row in rows
    ]
    return ShownSigningKeys(shown, cursor)


@delete("/api/v1/signing-keys/{kid:str}", scope="keys:admin", tags=["keys"])
async def remove_signing_key(
    kid: FromPath[str], caller: Caller, views: Views, log: Log, api_keys: ApiKeys
) -> None:
    """Refuse the tokens of a key from now on."""
    row = await views.get(SigningKey, kid)
    if row is None or (row.tenant != caller.tenant and not caller.may(ADMIN)):
        not_found("signing key", kid)
    accepted = await log.of_tenant(row.tenant).append(SigningKeyRemoved(key=kid))
    if row.secret is not None:
        await asyncio.to_thread(api_keys.vault.drop_secret, row.tenant, row.secret)
    await api_keys.settle(SigningKey, kid, accepted.position)


def _check_key(data: NewSigningKey) -> None:
    """Refuse a key that does not fit its algorithm, or is not public.

    Raises:
        Problem: 400.
    """
    if data.algorithm == "HS256":
        if data.secret is None or data.public_key is not None:
            raise bad_field("secret", "HS256 needs a secret, and no public_key")
        return
    if data.public_key is None or data.secret is not None:
        raise bad_field("public_key", f"{data.algorithm} needs a public_key, and no secret")
    try:
        key = load_pem_public_key(data.public_key.encode())
        jwt.get_algorithm_by_name(data.algorithm).prepare_key(key)
    except (ValueError, TypeError, jwt.InvalidKeyError) as error:
        raise bad_field("public_key", f"is no PEM public key for {data.algorithm}") from error


def _secret_name(kid: str) -> str:
    return f"signing-key/{kid}"


ROUTES = (add_signing_key, list_signing_keys, remove_signing_key)
