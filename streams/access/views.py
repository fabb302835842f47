"""What the gateway asks when somebody calls."""

from datetime import datetime

from schemas.access import Algorithm
from streams.views import Clustering, Partition, View


class ApiKey(View):
    """An API key, by its id; a revoked one has no row."""

    GLOBAL = True

    key: Partition[str]
    tenant: str
    name: str
    scopes: tuple[str, ...]
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None = None
    previous_hash: str | None = None
    previous_until: datetime | None = None


class TenantApiKey(View):
    """An API key as its owner, a tenant, sees it in a list."""

    GLOBAL = True

    owner: Partition[str]
    key: Clustering[str]
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None


class SigningKey(View):
    """A key that signs tokens of end users, by its `kid`; a removed one has no row."""

    GLOBAL = True

    key: Partition[str]
    tenant: str
    algorithm: Algorithm
    audience: str
    scopes: tuple[str, ...]
    public_key: str | None = None
    secret: str | None = None


class TenantSigningKey(View):
    """A signing key as its owner, a tenant, sees it in a list."""

    GLOBAL = True

    owner: Partition[str]
    key: Clustering[str]
    algorithm: Algorithm
    audience: str
    scopes: tuple[str, ...]
    added_at: datetime
    public_key: str | None = None
