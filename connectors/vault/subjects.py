"""Persons, their pseudonyms and their data keys.

A row of `subject` is found by the keyed hash of the person's name, or by that of the pseudonym;
neither stands there in the clear. Pseudonym and data key are wrapped together.
"""

import sqlite3
from os import urandom
from threading import Lock
from time import monotonic

from connectors.vault import tables
from connectors.vault.database import Database
from connectors.vault.datakey import DATA_KEY_BYTES, DataKey
from connectors.vault.framing import framed, keyed_hash
from connectors.vault.lru import Lru
from connectors.vault.master import MasterKeys, Wrapped
from connectors.vault.suppression import SuppressionList
from schemas.fields import Subject
from streams.errors import Erased

# What other processes erased is unreadable here after this time.
FOLLOW_S = 0.25

_PSEUDONYM_BYTES = 16
_READY_KEYS = 50_000  # 2.5 KB each
_RAW_KEYS = 200_000  # 0.3 KB each
_PSEUDONYMS = 200_000  # 0.3 KB each


class Subjects:
    """The subjects of all tenants, cached in three tiers.

    Ready keys serve sealing; raw ones spare the disk when there are more subjects than those.
    """

    def __init__(
        self, database: Database, listed: SuppressionList, master: MasterKeys, hash_key: bytes
    ) -> None:
        self._database = database
        self._listed = listed
        self._master = master
        self._hash_key = hash_key
        self._ready: Lru[tuple[str, str], DataKey] = Lru(_READY_KEYS)
        self._raw: Lru[bytes, bytes] = Lru(_RAW_KEYS)  # by fingerprint: pseudonym and data key
        self._pseudonyms: Lru[bytes, Subject] = Lru(_PSEUDONYMS)  # by the person's hash
        self._following = Lock()
        self._followed = tables.applied(database)
        self._follow_at_s = 0.0

    def find(self, tenant: str, person: str) -> Subject | None:
        """See `Vault.find`."""
        if monotonic() >= self._follow_at_s:
            self._follow_unless_followed()
        hashed = self._person(tenant, person)
        return self._pseudonyms.get(hashed) or self._load_pseudonym(hashed)

    def pseudonym(self, tenant: str, person: str) -> Subject:
        """See `Vault.pseudonym`."""
        found = self.find(tenant, person)
        if found is None:
            self._create(tenant, self._person(tenant, person))
            found = self.find(tenant, person)
        if found is None:
            raise _erased_person()
        return found

    def key(self, tenant: str, subject: str) -> DataKey | None:
        """A subject's data key, ready for use; None if there is none, or no more."""
        if monotonic() >= self._follow_at_s:
            self._follow_unless_followed()
        return self._ready.get((tenant, subject)) or self._load_key(tenant, subject)

    def was_erased(self, tenant: str, subject: str) -> bool:
        """Whether there was such a subject once."""
        return self._listed.has_subject(self._fingerprint(tenant, subject))

    def destroy(self, tenant: str, subject: str) -> bool:
        """See `Vault.destroy`."""
        fingerprint = self._fingerprint(tenant, subject)
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT person, wrapped FROM subject WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
            exists = row is not None and not tables.is_destroyed(row[1])
            if exists:
                # First the list, durably: after a crash, opening the vault does the rest.
                self._listed.add(fingerprint, row[0])
                tables.apply(connection, self._listed)
        with self._following:
            self._follow()
        # Also if there is nothing to destroy, since an earlier attempt may have failed here.
        self._database.scrub()
        return exists

    def _load_pseudonym(self, person: bytes) -> Subject | None:
        epoch = self._pseudonyms.epoch
        row = self._database.row("SELECT fingerprint FROM subject WHERE person = ?", person)
        plain = self._load_raw(row[0]) if row else None
        if plain is None:
            return None
        subject = Subject(plain[:_PSEUDONYM_BYTES].hex())
        self._pseudonyms.put(person, subject, epoch)
        return subject

    def _load_key(self, tenant: str, subject: str) -> DataKey | None:
        epoch = self._ready.epoch
        fingerprint = self._fingerprint(tenant, subject)
        plain = self._raw.get(fingerprint) or self._load_raw(fingerprint)
        if plain is None:
            return None
        key = DataKey(tenant, subject, fingerprint, plain[_PSEUDONYM_BYTES:])
        self._ready.put((tenant, subject), key, epoch)
        return key

    def _load_raw(self, fingerprint: bytes) -> bytes | None:
        epoch = self._raw.epoch
        row = self._database.row("SELECT wrapped FROM subject WHERE fingerprint = ?", fingerprint)
        if row is None or tables.is_destroyed(row[0]):
            return None
        plain = self._master.unwrap(Wrapped.unpack(row[0]), fingerprint)
        self._raw.put(fingerprint, plain, epoch)
        return plain

    def _create(self, tenant: str, person: bytes) -> None:
        with self._database.transaction() as connection:
            # Looked at here, as whoever destroys holds the same lock.
            if self._listed.has_person(person):
                raise _erased_person()
            if not _exists(connection, person):
                self._insert(connection, tenant, person)

    def _insert(self, connection: sqlite3.Connection, tenant: str, person: bytes) -> None:
        plain = urandom(_PSEUDONYM_BYTES + DATA_KEY_BYTES)
        fingerprint = self._fingerprint(tenant, plain[:_PSEUDONYM_BYTES].hex())
        connection.execute(
            "INSERT INTO subject (fingerprint, person, wrapped) VALUES (?, ?, ?)",
            (fingerprint, person, self._master.wrap(plain, fingerprint).pack()),
        )

    def _follow_unless_followed(self) -> None:
        """Follow, but do not wait for another thread that is just doing it."""
        if self._following.acquire(blocking=False):
            try:
                self._follow()
            finally:
                self._following.release()

    def _follow(self) -> None:
        """Drop what was erased since from the caches.

        Only erasures that took effect count: a row that is being erased could be cached again.
        """
        applied = tables.applied(self._database)
        if applied > self._followed:
            erasures = self._listed.between(self._followed, applied)
            subjects = {erasure.subject for erasure in erasures}
            self._pseudonyms.drop(erasure.person for erasure in erasures)
            # Raw keys before those that are made of them: else one could be made again between.
            self._raw.drop(subjects)
            self._ready.drop_where(lambda key: key.fingerprint in subjects)
            self._followed = applied
        self._follow_at_s = monotonic() + FOLLOW_S

    def _person(self, tenant: str, person: str) -> bytes:
        return keyed_hash(self._hash_key, "vault/person", framed(tenant, person))

    def _fingerprint(self, tenant: str, subject: str) -> bytes:
        return keyed_hash(self._hash_key, "vault/subject", framed(tenant, subject))


def _exists(connection: sqlite3.Connection, person: bytes) -> bool:
    query = "SELECT 1 FROM subject WHERE person = ?"
    return connection.execute(query, (person,)).fetchone() is not None


def _erased_person() -> Erased:
    return Erased("this person was erased, and does not come back under the same name")
