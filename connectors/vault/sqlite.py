"""The vault in SQLite: implements `streams.vault.Vault`.

What is in use is cached, so that sealing, opening and hashing neither touch the disk nor wait for
anybody who does. What goes to the disk is a subject, person or day that was not used lately, and
whatever changes the vault (an fsync or more).
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import date
from functools import partial
from pathlib import Path

from connectors.errors import SuppressionListLost
from connectors.vault import rotation, tables
from connectors.vault.database import Database
from connectors.vault.files import exclusive
from connectors.vault.framing import keyed_hash
from connectors.vault.master import MasterKeys
from connectors.vault.secrets import Secrets
from connectors.vault.subjects import Subjects
from connectors.vault.suppression import SuppressionList
from connectors.vault.visitors import SALT_GRACE_DAYS, DailySalts
from schemas.fields import Subject
from streams.errors import Erased, Tampered, VaultError
from streams.vault import Vault

VAULT_FILE = "vault.db"
SUPPRESSION_FILE = "suppressed.db"
_LOCK_FILE = "vault.lock"


class SqliteVault(Vault):
    """A vault that several processes may have open at once.

    Every method may raise `VaultError` if the disk fails, and `MasterKeyError` if the master key
    lacks the version that something is wrapped under.
    """

    def __init__(
        self,
        database: Database,
        listed: SuppressionList,
        master: MasterKeys,
        salts: DailySalts,
    ) -> None:
        """For `open`."""
        self._database = database
        self._listed = listed
        self._master = master
        self._hash_key = tables.hash_key(database, master)
        self._subjects = Subjects(database, listed, master, self._hash_key)
        self._secrets = Secrets(database, master)
        self._salts = salts

    @classmethod
    def open(
        cls,
        directory: Path,
        master: MasterKeys,
        clock: Callable[[], float] = time.time,
        salt_grace_days: int = SALT_GRACE_DAYS,
    ) -> "SqliteVault":
        """Open the vault of a directory, or make one; erasures that it lacks are repeated.

        It may lack some because a backup was restored, or because a process died in the middle.

        Args:
            clock: seconds since 1970; what the salts of past days are dropped by.
            salt_grace_days: how long visitors of a day that is over can still be told apart.

        Raises:
            NewerFormat: a later version of Sixfold wrote one of its files.
            OlderFormat: an earlier one did.
            MasterKeyError: the master key is not this vault's.
            SuppressionListLost: the list is not this vault's, or older than it.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with exclusive(directory / _LOCK_FILE), ExitStack() as opened:
            listed = opened.enter_context(closing(SuppressionList(directory / SUPPRESSION_FILE)))
            _refuse_orphaned(listed, directory)
            prepare = partial(tables.prepare, id=listed.id, master=master)
            database = opened.enter_context(
                closing(Database(directory / VAULT_FILE, tables.FORMAT, prepare))
            )
            _refuse_lost(database, listed, directory)
            salts = DailySalts(Secrets(database, master).salt, clock, salt_grace_days)
            vault = cls(database, listed, master, salts)
            with database.transaction() as connection:
                tables.apply(connection, listed)
            vault.drop_expired_salts()  # and scrubs, after the line above too
            opened.pop_all()
        return vault

    def close(self) -> None:
        """Close the files."""
        self._database.close()
        self._listed.close()

    def pseudonym(self, tenant: str, person: str) -> Subject:
        """See `Vault`. A person's first pseudonym is one fsync."""
        return self._subjects.pseudonym(tenant, person)

    def find(self, tenant: str, person: str) -> Subject | None:
        """See `Vault`."""
        return self._subjects.find(tenant, person)

    def seal(self, tenant: str, subject: Subject, context: str, plain: bytes) -> str:
        """See `Vault`."""
        key = self._subjects.key(tenant, subject)
        if key is None:
            raise Erased("nothing can be sealed for this subject: it was erased, or never existed")
        return key.seal(context, plain)

    def unseal(self, tenant: str, subject: Subject, context: str, sealed: str) -> bytes:
        """See `Vault`."""
        key = self._subjects.key(tenant, subject)
        if key is not None:
            return key.unseal(context, sealed)
        if self._subjects.was_erased(tenant, subject):
            raise Erased("the subject was erased, and what was sealed for it with it")
        raise Tampered("this tenant never had the subject that the sealed value came with")

    def destroy(self, tenant: str, subject: Subject) -> bool:
        """See `Vault`. When it returns, the bytes are gone from the vault's files too."""
        return self._subjects.destroy(tenant, subject)

    def visitor(self, day: date, *traits: str) -> str:
        """See `Vault`; `connectors/vault/visitors.py` has the terms."""
        return self._salts.visitor(day, traits)

    def drop_expired_salts(self) -> int:
        """Forget the salts of past days; how many there were. New ones being made does it too."""
        return self._secrets.drop_salts(self._salts.oldest())

    def put_secret(self, tenant: str, name: str, value: bytes) -> None:
        """See `Vault`."""
        self._secrets.put(tenant, name, value)

    def secret(self, tenant: str, name: str) -> bytes | None:
        """See `Vault`."""
        return self._secrets.get(tenant, name)

    def drop_secret(self, tenant: str, name: str) -> bool:
        """See `Vault`."""
        return self._secrets.drop(tenant, name)

    def keyed_hash(self, purpose: str, data: bytes) -> bytes:
        """See `Vault`."""
        return keyed_hash(self._hash_key, purpose, data)

    def versions_in_use(self) -> dict[int, int]:
        """How many values are wrapped under each version of the master key; reads every row."""
        return rotation.versions_in_use(self._database)

    def rewrap(self, batch: int = 500) -> Iterator[int]:
        """Wrap everything under the newest version of the master key, while the vault is in use.

        Yields the number of values after each batch. It may stop anywhere and be called again.
        """
        return rotation.rewrap(self._database, self._master, batch)

    def retire(self, version: int) -> None:
        """Forget a version of the master key for good.

        Backups of the vault from before the rewrapping cannot be opened without it.

        Raises:
            MasterKeyError: it is in use, or the newest, or must be retired elsewhere.
        """
        rotation.retire(self._database, self._master, version)


def rebuild_suppression_list(directory: Path) -> int:
    """Make a new list of the erased subjects that the vault remembers; how many there are.

    Only if the list is lost for good. If the vault was restored from a backup as well, what was
    erased since must be destroyed again, from the `subject.erased` events of the log.

    Raises:
        VaultError: there is no vault.
    """
    path = directory / VAULT_FILE
    if not path.exists():
        raise VaultError(f"there is no vault in {directory}: restore {VAULT_FILE} first")
    with ExitStack() as opened:
        opened.enter_context(exclusive(directory / _LOCK_FILE))
        database = opened.enter_context(closing(Database(path, tables.FORMAT, _refuse_empty)))
        listed = opened.enter_context(closing(SuppressionList(directory / SUPPRESSION_FILE)))
        return tables.rebuild(database, listed)


def _refuse_empty(connection: sqlite3.Connection) -> None:
    raise VaultError(f"the vault is empty: restore {VAULT_FILE} first")


def _refuse_orphaned(listed: SuppressionList, directory: Path) -> None:
    if listed.last() and not (directory / VAULT_FILE).exists():
        raise SuppressionListLost(
            f"{directory} has a list of erased persons, but no {VAULT_FILE}: restore it from a "
            f"backup, or to begin anew, move {SUPPRESSION_FILE} away"
        )


def _refuse_lost(database: Database, listed: SuppressionList, directory: Path) -> None:
    if tables.list_id(database) != listed.id or tables.applied(database) > listed.last():
        raise SuppressionListLost(
            f"{directory / SUPPRESSION_FILE} is not the vault's, or older than it: restore the "
            "newest copy; if there is none, rebuild it (rebuild_suppression_list) and destroy "
            "again what the log says was erased since the vault's backup"
        )
