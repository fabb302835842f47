"""Cursors: where a list goes on. Opaque, signed, and good for one tenant and route only."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from hmac import compare_digest

import msgspec

from connectors.gateway.problems import Problem, bad_field
from streams.vault import Vault
from streams.views import Key, Page, V, shape_of

_SIGNATURE_BYTES = 16


class Cursors:
    """The cursors of one tenant and route."""

    def __init__(self, vault: Vault, tenant: str, route: str) -> None:
        self._vault = vault
        self._context = f"{tenant}\x1f{route}\x1f".encode()

    def cursor(self, key: Key) -> str:
        """A cursor that stands behind the row with this key."""
        payload = msgspec.msgpack.encode(key)
        return urlsafe_b64encode(self._sign(payload) + payload).rstrip(b"=").decode()

    def key(self, cursor: str) -> Key:
        """The key that a cursor stands behind.

        Raises:
            Problem: 400: it was not made for this tenant and route, or was tampered with.
        """
        try:
            signed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (Base64Error, ValueError):
            raise _bad_cursor() from None
        signature, payload = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
        if not compare_digest(signature, self._sign(payload)):
            raise _bad_cursor()
        return tuple(msgspec.msgpack.decode(payload))

    def _sign(self, payload: bytes) -> bytes:
        return self._vault.keyed_hash("cursor", self._context + payload)[:_SIGNATURE_BYTES]


class Paging:
    """Which part of a list a request asks for."""

    def __init__(self, cursors: Cursors, cursor: str | None, limit: int) -> None:
        """Begin at a cursor, or at the beginning.

        Raises:
            Problem: 400: the cursor is not one of ours.
        """
        self._cursors = cursors
        self._limit = limit
        after = None if cursor is None else cursors.key(cursor)
        # One row more than wanted tells whether the list goes on.
        self.page = Page(after=after, limit=limit + 1)

    def cursor(self, key: Key) -> str:
        """A cursor of this list that stands behind the row with this key."""
        return self._cursors.cursor(key)

    def cut(self, rows: Sequence[V], fixed: int = 0) -> tuple[Sequence[V], str | None]:
        """The rows of `page` that were asked for, and the cursor that the list goes on with.

        Args:
            fixed: how many clustering keys the slice's prefix has.
        """
        if len(rows) <= self._limit:
            return rows, None
        shown = rows[: self._limit]
        last = shown[-1]
        names = shape_of(type(last)).clustering[fixed:]
        return shown, self._cursors.cursor(tuple(getattr(last, name) for name in names))


def _bad_cursor() -> Problem:
    return bad_field("cursor", "take it unchanged from the answer to this very request")
