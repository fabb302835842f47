"""A subject's data key: seals and opens values (AES-256-GCM, NIST SP 800-38D)."""

import binascii
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.vault.framing import framed
from streams.errors import Tampered

DATA_KEY_BYTES = 32

# The first byte of every sealed value says how the rest is to be read.
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_BODY = len(_FORMAT) + _NONCE_BYTES


class DataKey:
    """A data key, ready for use.

    Attributes:
        fingerprint: the keyed hash of the tenant and subject it belongs to.
    """

    __slots__ = ("_aead", "_owner", "fingerprint")

    def __init__(self, tenant: str, subject: str, fingerprint: bytes, key: bytes) -> None:
        self.fingerprint = fingerprint
        self._aead = AESGCM(key)
        # Framed, so that the context, which follows it, cannot be mistaken for a part of it.
        self._owner = _FORMAT + framed(tenant, subject)

    def seal(self, context: str, plain: bytes) -> str:
        """Seal under a random nonce, which is safe for 2^32 values of one subject; base64."""
        nonce = urandom(_NONCE_BYTES)
        body = self._aead.encrypt(nonce, plain, self._owner + context.encode())
        return binascii.b2a_base64(_FORMAT + nonce + body, newline=False).decode()

    def unseal(self, context: str, sealed: str) -> bytes:
        """Open what `seal` made.

        Raises:
            Tampered: this key did not seal it, or not for this context.
        """
        try:
            raw = binascii.a2b_base64(sealed, strict_mode=True)
            if raw[:1] != _FORMAT or len(raw) < _BODY + _TAG_BYTES:
                raise Tampered("a sealed value is damaged, or a later version of Sixfold sealed it")
            return self._aead.decrypt(
                raw[len(_FORMAT) : _BODY], raw[_BODY:], self._owner + context.encode()
            )
        except (InvalidTag, ValueError):
            raise Tampered(
                "a sealed value is damaged, or belongs to another event, subject or tenant"
            ) from None
