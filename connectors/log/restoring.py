"""A log that was restored from a backup, and so has lost its end.

Its offsets are given again, to other records: for whoever remembers the old ones it must be another
log. So it gets another incarnation; and what was handed out by offset (blocks of keys) goes on
beyond all that may have been handed out since the backup.
"""

import secrets
import sqlite3
from collections.abc import Mapping

from connectors.log.sqlite import SqliteLog


def renew(log: SqliteLog, skipped: Mapping[str, int]) -> None:
    """Make a restored log another one; `incarnation` says so when it is opened again.

    Args:
        skipped: offsets that are never given, by topic; of topics that no fold reads.

    Raises:
        LogUnavailable: the log cannot be written; it is as it was.
    """

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE meta SET value = ? WHERE name = 'incarnation'", (secrets.token_hex(8),)
        )
        connection.executemany(
            "UPDATE partition SET next = next + ? WHERE topic = ?",
            [(offsets, topic) for topic, offsets in skipped.items()],
        )

    log.write((), work).result()
