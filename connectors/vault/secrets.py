"""Secrets and daily salts, wrapped under the master key."""

from datetime import date
from os import urandom

from connectors.vault.database import Database
from connectors.vault.framing import framed
from connectors.vault.master import MasterKeys, Wrapped
from connectors.vault.visitors import SALT_BYTES


class Secrets:
    """What tenants keep by name, and a salt per day."""

    def __init__(self, database: Database, master: MasterKeys) -> None:
        self._database = database
        self._master = master

    def put(self, tenant: str, name: str, value: bytes) -> None:
        """See `Vault.put_secret`."""
        context = framed("secret", tenant, name)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO secret (name, wrapped) VALUES (?, ?)",
                (context, self._master.wrap(value, context).pack()),
            )
        self._database.scrub()

    def get(self, tenant: str, name: str) -> bytes | None:
        """See `Vault.secret`."""
        context = framed("secret", tenant, name)
        row = self._database.row("SELECT wrapped FROM secret WHERE name = ?", context)
        return self._master.unwrap(Wrapped.unpack(row[0]), context) if row else None

    def drop(self, tenant: str, name: str) -> bool:
        """See `Vault.drop_secret`."""
        with self._database.transaction() as connection:
            gone = connection.execute(
                "DELETE FROM secret WHERE name = ?", (framed("secret", tenant, name),)
            ).rowcount
        self._database.scrub()
        return gone > 0

    def salt(self, day: date, oldest: date) -> bytes:
        """A day's salt; if it must be made, those of days before `oldest` are dropped."""
        context = framed("salt", day.isoformat())
        row = self._database.row("SELECT wrapped FROM salt WHERE id = ?", day.toordinal())
        if row is None:
            self.drop_salts(oldest)
            row = self._make_salt(day, context)
        return self._master.unwrap(Wrapped.unpack(row[0]), context)

    def drop_salts(self, before: date) -> int:
        """Forget the salts of all days before one; how many there were."""
        with self._database.transaction() as connection:
            gone = connection.execute(
                "DELETE FROM salt WHERE id < ?", (before.toordinal(),)
            ).rowcount
        self._database.scrub()
        return gone

    def _make_salt(self, day: date, context: bytes) -> tuple[bytes]:
        id = day.toordinal()
        with self._database.transaction() as connection:
            # Ignored if another process was first.
            connection.execute(
                "INSERT OR IGNORE INTO salt (id, name, wrapped) VALUES (?, ?, ?)",
                (id, context, self._master.wrap(urandom(SALT_BYTES), context).pack()),
            )
            made: tuple[bytes] = connection.execute(
                "SELECT wrapped FROM salt WHERE id = ?", (id,)
            ).fetchone()
            return made
