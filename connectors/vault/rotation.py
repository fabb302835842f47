"""After the master key was rotated: wrapping everything again, and retiring old versions."""

import sqlite3
from collections.abc import Iterator

from connectors.errors import MasterKeyError
from connectors.vault.database import Database
from connectors.vault.master import MasterKeys, Wrapped
from connectors.vault.tables import CONTEXTS, DESTROYED, VERSION


def versions_in_use(database: Database) -> dict[int, int]:
    """How many values are wrapped under each version of the master key; reads every row."""
    found: dict[int, int] = {}
    for table in CONTEXTS:
        for version, values in database.rows(
            f"SELECT {VERSION}, count(*) FROM {table} GROUP BY 1"  # noqa: S608 — our own names
        ):
            if version != DESTROYED:
                found[int.from_bytes(version)] = found.get(int.from_bytes(version), 0) + values
    return found


def rewrap(database: Database, master: MasterKeys, batch: int) -> Iterator[int]:
    """Wrap everything under the newest version, in short transactions; yields values per batch.

    What is done is done: it may stop at any time and be begun again.
    """
    for table in CONTEXTS:
        last = 0
        while True:
            with database.transaction() as connection:
                ids = _rewrap_batch(connection, master, table, (last, batch))
            if not ids:
                break
            last = ids[-1]
            yield len(ids)
    database.scrub()


def _rewrap_batch(
    connection: sqlite3.Connection, master: MasterKeys, table: str, page: tuple[int, int]
) -> list[int]:
    after, limit = page
    current = master.describe().current.to_bytes(len(DESTROYED))
    context = CONTEXTS[table]
    rows = connection.execute(
        f"SELECT id, {context}, wrapped FROM {table} WHERE id > ? "  # noqa: S608 — our own names
        f"AND {VERSION} NOT IN (?, ?) ORDER BY id LIMIT ?",
        (after, current, DESTROYED, limit),
    ).fetchall()
    connection.executemany(
        f"UPDATE {table} SET wrapped = ? WHERE id = ?",  # noqa: S608 — our own names
        [
            (master.wrap(master.unwrap(Wrapped.unpack(wrapped), context), context).pack(), id)
            for id, context, wrapped in rows
        ],
    )
    return [row[0] for row in rows]


def retire(database: Database, master: MasterKeys, version: int) -> None:
    """Retire a version of the master key under which nothing is wrapped any more.

    Raises:
        MasterKeyError: something is, or the key refuses.
    """
    # Inside a transaction, so that nobody can wrap under that version meanwhile.
    with database.transaction():
        left = versions_in_use(database).get(version, 0)
        if left and version != master.describe().current:
            raise MasterKeyError(
                f"version {version} of the master key is in use by {left:,} values: "
                "run `sixfold vault rewrap` first"
            )
        master.retire(version)
