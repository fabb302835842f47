"""The vault's port: who is behind a pseudonym, and the keys that personal data is sealed with.

The vault is the only mutable and erasable store of the platform. Destroying a subject's row makes
everything that was ever sealed for it unreadable.
"""

from datetime import date
from typing import Protocol

from schemas.fields import Subject

MAX_PERSON = 500  # characters of the name that a tenant has for a person; at least one


class Vault(Protocol):
    """Pseudonyms, sealed values, daily salts and secrets. Every method may be called on any thread."""

    def pseudonym(self, tenant: str, person: str) -> Subject:
        """The pseudonym of a person as the tenant names them: 128 random bits, made at first use.

        Raises:
            Erased: the person was erased, and must not come back under the same name.
        """

    def find(self, tenant: str, person: str) -> Subject | None:
        """The pseudonym of a person, if there is one; makes none."""

    def seal(self, tenant: str, subject: Subject, context: str, plain: bytes) -> str:
        """Seal bytes under the subject's data key (AES-256-GCM); base64.

        Args:
            context: what the value belongs to (event id and type, or a view row's key). It is
                authenticated together with tenant and subject, so a sealed value cannot be moved.

        Raises:
            Erased: the subject has no key any more.
        """

    def unseal(self, tenant: str, subject: Subject, context: str, sealed: str) -> bytes:
        """Open what `seal` made.

        Raises:
            Erased: the subject has no key any more.
            Tampered: tenant, subject or context is not the one it was sealed with.
        """

    def destroy(self, tenant: str, subject: Subject) -> bool:
        """Destroy a subject's pseudonym and data key for good; False if there was none.

        The person's name stays as a keyed hash on the suppression list.
        """

    def visitor(self, day: date, *traits: str) -> str:
        """A hash of an anonymous visitor's traits, keyed by a salt that lives for one UTC day.

        Traits are what tells visitors apart (address, user agent) and are not kept.
        """

    def put_secret(self, tenant: str, name: str, value: bytes) -> None:
        """Keep a secret (webhook secret, provider key), encrypted under the master key."""

    def secret(self, tenant: str, name: str) -> bytes | None:
        """A secret, if there is one of that name."""

    def drop_secret(self, tenant: str, name: str) -> bool:
        """Forget a secret; False if there was none."""

    def keyed_hash(self, purpose: str, data: bytes) -> bytes:
        """A 32-byte hash under a key that only the vault has and never changes.

        For what is looked up or verified but never opened: API keys at rest, signed cursors. Two
        purposes do not share hashes; those that begin with `vault/` are the vault's own.
        """
