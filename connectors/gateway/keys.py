"""API keys: create, list, rotate, revoke."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from connectors.gateway.api_keys import refuse_more_than_own, tenant_of
from connectors.gateway.auth import SCOPES
from connectors.gateway.bodies import Body
from connectors.gateway.given import ApiKeys, Caller, Log, Paging, Views
from connectors.gateway.problems import bad_field
from schemas.access import ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated
from schemas.patterns import Tenant
from streams.access.views import ApiKey, TenantApiKey

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_MAX_OVERLAP_S = 30 * 24 * 3600


class NewKey(Body):
    """An API key to create.

    Attributes:
        tenant: another tenant than the caller's; for callers with the scope `admin`.
    """

    name: Name
    scopes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tenant: Tenant | None = None


class Rotation(Body):
    """How to rotate an API key.

    Attributes:
        overlap_s: how long the old secret stays good; one that was replaced before is not.
    """

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=_MAX_OVERLAP_S)] = 24 * 3600


_USUAL_ROTATION = Rotation()


class Key(msgspec.Struct):
    """An API key, without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None


class Keys(msgspec.Struct):
    """Some API keys.

    Attributes:
        next: the cursor that the list goes on with; none at its end.
    """

    keys: list[Key]
    next: str | None


class IssuedKey(msgspec.Struct):
    """An API key with its secret, which is shown this once.

    Attributes:
        api_key: what callers send as `Authorization: Bearer`.
    """

    id: str
    api_key: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None


@post("/api/v1/keys", scope="keys:admin", tags=["keys"])
async def create_key(
    data: JSONBody[NewKey], caller: Caller, log: Log, api_keys: ApiKeys
) -> IssuedKey:
    """Create an API key; it may do no more than the caller."""
    tenant = tenant_of(caller, data.tenant)
    check_scopes(data.scopes, caller)
    if data.expires_at is not None and data.expires_at <= log.origin.time:
        raise bad_field("expires_at", "is in the past")
    text = api_keys.text(tenant, "create", log.ids)
    accepted = await log.of_tenant(tenant).append(
        ApiKeyCreated(
            key=text.key,
            secret_hash=text.hash(api_keys.vault),
            name=data.name,
            scopes=data.scopes,
            expires_at=data.expires_at,
        )
    )
    await api_keys.settle(ApiKey, text.key, accepted.position)
    return IssuedKey(
        id=text.key,
        api_key=str(text),
        tenant=tenant,
        name=data.name,
        scopes=tuple(data.scopes),
        expires_at=data.expires_at,
    )


@get("/api/v1/keys", scope="keys:admin", tags=["keys"])
async def list_keys(
    caller: Caller,
    views: Views,
    paging: Paging,
    tenant: FromQuery[str | None] = None,
) -> Keys:
    """List API keys that are good, by their ids."""
    tenant = tenant_of(caller, tenant)
    rows, cursor = paging.cut(await views.slice(TenantApiKey, tenant, page=paging.page))
    keys = [
        Key(
            id=row.key,
            name=row.name,
            scopes=row.scopes,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
        for row in rows
    ]
    return Keys(keys, cursor)


@post("/api/v1/keys/{id:str}/rotate", scope="keys:admin", status_code=200, tags=["keys"])
async def rotate_key(
    id: FromPath[str],
    caller: Caller,
    log: Log,
    api_keys: ApiKeys,
    data: JSONBody[Rotation] = _USUAL_ROTATION,
) -> IssuedKey:
    """Give an API key a new secret; the old one stays good for some time, a day without a body."""
    row = await api_keys.managed(id, caller)
    text = api_keys.text(row.tenant, f"rotate {id}", log.ids)._replace(key=id)
    accepted = await log.of_tenant(row.tenant).append(
        ApiKeyRotated(
            key=id,
            secret_hash=text.hash(api_keys.vault),
            previous_until=log.origin.time + timedelta(seconds=data.overlap_s),
        )
    )
    await api_keys.settle(ApiKey, id, accepted.position)
    return IssuedKey(
        id=id,
        api_key=str(text),
        tenant=row.tenant,
        name=row.name,
        scopes=row.scopes,
        expires_at=row.expires_at,
    )


@delete("/api/v1/keys/{id:str}", scope="keys:admin", tags=["keys"])
async def revoke_key(id: FromPath[str], caller: Caller, log: Log, api_keys: ApiKeys) -> None:
    """Revoke an API key; every gateway refuses it within a second."""
    row = await api_keys.managed(id, caller)
    accepted = await log.of_tenant(row.tenant).append(ApiKeyRevoked(key=id))
    await api_keys.settle(ApiKey, id, accepted.position)


def check_scopes(scopes: list[str], caller: Caller) -> None:
    """Only scopes that there are, and that the caller has.

    Raises:
        Problem: 400 or 403.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise bad_field("scopes", f"{scope!r} is none of {', '.join(sorted(SCOPES))}")
    refuse_more_than_own(scopes, caller)


ROUTES = (create_key, list_keys, rotate_key, revoke_key)
