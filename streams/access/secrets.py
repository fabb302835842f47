"""API keys as callers hold them: `sk_<id>_<secret>`."""

import secrets
from typing import NamedTuple

from streams.vault import Vault

_PREFIX = "sk"
_ID_BYTES = 8
_SECRET_BYTES = 24


class ApiKeyText(NamedTuple):
    """An API key, which only its holder has whole: the platform keeps a hash of the secret."""

    key: str
    secret: str

    def __str__(self) -> str:
        return f"{_PREFIX}_{self.key}_{self.secret}"

    @classmethod
    def fresh(cls) -> "ApiKeyText":
        """A new random key."""
        return cls(secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES))

    @classmethod
    def derived(cls, vault: Vault, *parts: str) -> "ApiKeyText":
        """The key that belongs to these parts: the same again when a request is repeated."""
        digest = vault.keyed_hash("api-key-text", "\x1f".join(parts).encode()).hex()
        return cls(digest[: 2 * _ID_BYTES], digest[2 * _ID_BYTES :])

    @classmethod
    def parse(cls, text: str) -> "ApiKeyText | None":
        """Read what `str` writes; None if it is something else."""
        prefix, _, rest = text.partition("_")
        key, _, secret = rest.partition("_")
        return cls(key, secret) if prefix == _PREFIX and key and secret else None

    def renewed(self, secret: str) -> "ApiKeyText":
        """The same key with another secret."""
        return ApiKeyText(self.key, secret)

    def hash(self, vault: Vault) -> str:
        """What is kept of it: a keyed hash, in hex."""
        return vault.keyed_hash("api-key", f"{self.key}_{self.secret}".encode()).hex()
