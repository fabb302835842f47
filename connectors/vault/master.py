"""The master key: what everything in the vault is wrapped under.

It has versions. The newest wraps; older ones unwrap what has not been wrapped again yet. A KMS
would be another implementation of `MasterKeys`.
"""

from base64 import b64decode
from collections.abc import Mapping
from hashlib import blake2b
from os import urandom
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.errors import MasterKeyError
from connectors.vault.framing import framed

VARIABLE = "SIXFOLD_MASTER_KEY"
KEY_BYTES = 32

_NONCE_BYTES = 12
_VERSION_BYTES = 4


class Wrapped(NamedTuple):
    """Something encrypted under one version of the master key."""

    version: int
    body: bytes

    def pack(self) -> bytes:
        """As stored: the version in 4 bytes, so that every version takes the same space."""
        return self.version.to_bytes(_VERSION_BYTES) + self.body

    @classmethod
    def unpack(cls, stored: bytes) -> "Wrapped":
        """Read what `pack` writes."""
        return cls(int.from_bytes(stored[:_VERSION_BYTES]), stored[_VERSION_BYTES:])


class Description(NamedTuple):
    """What an operator should know of the master key.

    Attributes:
        location: where it lies.
        versions: ascending; the last is the one that wraps.
        backed_up: whether all of these versions are known to be kept elsewhere too.
    """

    location: str
    versions: tuple[int, ...]
    backed_up: bool

    @property
    def current(self) -> int:
        """The version that wraps."""
        return self.versions[-1]


class MasterKeys(Protocol):
    """The master key in all its versions. Every method may be called on any thread."""

    def wrap(self, plain: bytes, context: bytes) -> Wrapped:
        """Encrypt under the newest version, authenticating what the value belongs to."""

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """Open what `wrap` made.

        Raises:
            MasterKeyError: the version is not here, or the key or the context is another one.
        """

    def describe(self) -> Description:
        """Where the key lies, and whether it is backed up."""

    def rotate(self) -> int:
        """Add a version and return it; from now on it wraps.

        Raises:
            MasterKeyError: this kind of key is rotated elsewhere; says where.
        """

    def retire(self, version: int) -> None:
        """Forget a version for good. Go through `SqliteVault.retire`, which knows what is in use.

        Raises:
            MasterKeyError: it is the newest, or unknown, or must be retired elsewhere.
        """


class Keyring:
    """Versions of the master key in memory."""

    def __init__(self, keys: Mapping[int, bytes], location: str) -> None:
        self._location = location
        self._keys = dict(keys)
        self._ciphers = {version: AESGCM(key) for version, key in keys.items()}

    def wrap(self, plain: bytes, context: bytes) -> Wrapped:
        """See `MasterKeys.wrap`: AES-256-GCM under a random nonce (NIST SP 800-38D).

        Random nonces are safe for 2^32 values per version: rotate before that.
        """
        ciphers = self._ciphers
        version = max(ciphers)
        nonce = urandom(_NONCE_BYTES)
        body = ciphers[version].encrypt(nonce, plain, framed(version, context))
        return Wrapped(version, nonce + body)

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """See `MasterKeys.unwrap`."""
        version, body = wrapped
        cipher = self._ciphers.get(version)
        if cipher is None:
            raise MasterKeyError(
                f"version {version} of the master key is not in {self._location}: "
                "add it from your backup of the key"
            )
        try:
            return cipher.decrypt(
                body[:_NONCE_BYTES], body[_NONCE_BYTES:], framed(version, context)
            )
        except InvalidTag:
            raise MasterKeyError(
                f"the master key in {self._location} does not open this vault, or the vault is "
                "damaged: put back the key that belongs to it, or restore the vault"
            ) from None

    def describe(self) -> Description:
        """See `MasterKeys.describe`."""
        return Description(self._location, tuple(sorted(self._keys)), self._backed_up())

    def rotate(self) -> int:
        """See `MasterKeys.rotate`."""
        version = max(self._keys) + 1
        self._replace({**self._keys, version: urandom(KEY_BYTES)})
        return version

    def retire(self, version: int) -> None:
        """See `MasterKeys.retire`."""
        self._check_retired(version)
        self._replace({v: key for v, key in self._keys.items() if v != version})

    def _check_retired(self, version: int) -> None:
        if version not in self._keys:
            known = ", ".join(map(str, sorted(self._keys)))
            raise MasterKeyError(f"{self._location} has no version {version}, but {known}")
        if version == max(self._keys):
            raise MasterKeyError(
                f"version {version} is the newest, which wraps: run `sixfold vault rotate` first"
            )

    def _replace(self, keys: Mapping[int, bytes]) -> None:
        self._ciphers = {version: AESGCM(key) for version, key in keys.items()}
        self._keys = dict(keys)

    def _backed_up(self) -> bool:
        return False

    def _fingerprints(self) -> list[str]:
        """One of each version; they tell nothing of the keys."""
        return [
            blake2b(framed(*part), digest_size=16, person=b"sixfold backup").hexdigest()
            for part in sorted(self._keys.items())
        ]


class EphemeralMasterKey(Keyring):
    """A master key that is gone when the process ends: for demonstrations and tests."""

    def __init__(self) -> None:
        super().__init__({1: urandom(KEY_BYTES)}, "memory")


class EnvironmentMasterKey(Keyring):
    """The master key from an environment variable: base64, or versions as `1:base64,2:base64`.

    It counts as backed up, since whatever sets the variable keeps it.
    """

    def __init__(self, value: str) -> None:
        """Parse the variable's value.

        Raises:
            MasterKeyError: it is malformed.
        """
        super().__init__(_parse(value), f"the environment variable {VARIABLE}")

    def rotate(self) -> int:
        """Refuses: the variable is not ours to change."""
        version = max(self._keys) + 1
        raise MasterKeyError(
            f"add a version yourself: append ',{version}:' and 32 random bytes in base64 "
            f"to {VARIABLE} and restart every process"
        )

    def retire(self, version: int) -> None:
        """Refuses: the variable is not ours to change."""
        self._check_retired(version)
        raise MasterKeyError(
            f"nothing is wrapped under version {version} any more: take it out of {VARIABLE} "
            "and restart every process"
        )

    def _backed_up(self) -> bool:
        return True


def _parse(value: str) -> dict[int, bytes]:
    versions = [part.strip().rpartition(":") for part in value.split(",")]
    try:
        return checked({int(version or 1): decode_key(key) for version, _, key in versions})
    except ValueError as error:
        raise MasterKeyError(
            f"{VARIABLE}: {error}; write 32 random bytes in base64, or versions of that as "
            "1:base64,2:base64"
        ) from None


def checked(keys: dict[int, bytes]) -> dict[int, bytes]:
    """Keys as they should be.

    Raises:
        ValueError: there is none, or versions do not count from 1.
    """
    if not keys or min(keys) < 1:
        raise ValueError("versions of a master key count from 1")
    return keys


def decode_key(encoded: str) -> bytes:
    """A key from base64.

    Raises:
        ValueError: it is none; the message does not show it.
    """
    key = b64decode(encoded, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, this one has {len(key)}")
    return key
