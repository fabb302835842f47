"""Access: who may call the API. Keys of services, and the keys that sign the tokens of end users.

No event holds a secret: of an API key only a keyed hash, of a signing key its public half or the
name of a secret in the vault. All of these types are internal, so a client cannot post them.
"""

from datetime import datetime
from typing import Literal

from schemas.event import Data, event
from schemas.topic import Topic

ACCESS = Topic("access", partitions=1, deduplicated=True)

Algorithm = Literal["EdDSA", "ES256", "ES384", "PS256", "RS256", "HS256"]


@event("api_key.created", topic=ACCESS, key="key", internal=True)
class ApiKeyCreated(Data):
    """A service of the envelope's tenant may call the API."""

    key: str  # its id
    secret_hash: str  # keyed, hex
    name: str
    scopes: list[str]
    expires_at: datetime | None = None


@event("api_key.rotated", topic=ACCESS, key="key", internal=True)
class ApiKeyRotated(Data):
    """An API key has a new secret; the old one is good for some more time."""

    key: str
    secret_hash: str
    previous_until: datetime


@event("api_key.revoked", topic=ACCESS, key="key", internal=True)
class ApiKeyRevoked(Data):
    """An API key is no good any more."""

    key: str


@event("signing_key.added", topic=ACCESS, key="key", internal=True)
class SigningKeyAdded(Data):
    """Tokens (JWTs) that name this key as their `kid` are the envelope's tenant's end users'."""

    key: str  # the `kid`; made by us, so that no tenant can take another's
    algorithm: Algorithm  # the only one it is good for
    audience: str
    scopes: list[str]  # what its tokens may do at most
    public_key: str | None = None  # PEM; absent for HS256
    secret: str | None = None  # for HS256: the name of the tenant's secret in the vault


@event("signing_key.removed", topic=ACCESS, key="key", internal=True)
class SigningKeyRemoved(Data):
    """Tokens that name this key are refused from now on."""

    key: str
