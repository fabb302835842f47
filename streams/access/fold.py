"""api_key.* and signing_key.* events → the keys that are good. State: the API keys that are."""

from msgspec.structs import replace

from schemas.access import (
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyRotated,
    SigningKeyAdded,
    SigningKeyRemoved,
)
from streams.access.views import ApiKey, SigningKey, TenantApiKey, TenantSigningKey
from streams.batch import Batch
from streams.effects import Effects
from streams.state import Table, Tables

VERSION = 2  # signing keys are listed too


class State(Tables):
    """The API keys of this partition, as their rows are."""

    keys: Table[str, ApiKey]


def fold(
    batch: Batch[
        ApiKeyCreated | ApiKeyRotated | ApiKeyRevoked | SigningKeyAdded | SigningKeyRemoved
    ],
    state: State,
    out: Effects,
) -> None:
    """Let in, and shut out."""
    for event in batch:
        match event.data:
            case ApiKeyCreated() as created:
                row = ApiKey(
                    key=created.key,
                    tenant=event.tenant,
                    name=created.name,
                    scopes=tuple(created.scopes),
                    secret_hash=created.secret_hash,
                    created_at=event.time,
                    expires_at=created.expires_at,
                )
                _put(row, state, out)
            case ApiKeyRotated() as rotated if rotated.key in state.keys:
                before = state.keys[rotated.key]
                row = replace(
                    before,
                    secret_hash=rotated.secret_hash,
                    previous_hash=before.secret_hash,
                    previous_until=rotated.previous_until,
                )
                _put(row, state, out)
            case ApiKeyRevoked(key=key) if key in state.keys:
                del state.keys[key]
                out.delete(ApiKey, key)
                out.delete(TenantApiKey, event.tenant, key)
            case SigningKeyAdded() as added:
                out.put(
                    SigningKey(
                        key=added.key,
                        tenant=event.tenant,
                        algorithm=added.algorithm,
                        audience=added.audience,
                        scopes=tuple(added.scopes),
                        public_key=added.public_key,
                        secret=added.secret,
                    )
                )
                out.put(
                    TenantSigningKey(
                        owner=event.tenant,
                        key=added.key,
                        algorithm=added.algorithm,
                        audience=added.audience,
                        scopes=tuple(added.scopes),
                        added_at=event.time,
                        public_key=added.public_key,
                    )
                )
            case SigningKeyRemoved(key=key):
                out.delete(SigningKey, key)
                out.delete(TenantSigningKey, event.tenant, key)


def _put(row: ApiKey, state: State, out: Effects) -> None:
    state.keys[row.key] = row
    out.put(row)
    out.put(
        TenantApiKey(
            owner=row.tenant,
            key=row.key,
            name=row.name,
            scopes=row.scopes,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
    )
