"""Forgetting: ids of clients' events are remembered for 7 days.

The table is gone through in the order of its key, so that no index on the time has to be kept up
with every event; most ids begin with a time, so that the old ones lie side by side.
"""

import sqlite3
from functools import partial

from connectors.log.retention import DAY_MS
from connectors.log.steps import Read, Steps

REMEMBERED_MS = 7 * DAY_MS

_STEP_ROWS = 2_000

_Key = tuple[str, int, str, str]


def forgetting_steps(read: Read, now_ms: int) -> Steps:
    """Forget the ids that came more than 7 days ago."""
    key: _Key = ("", 0, "", "")
    while True:
        rows = (
            read()
            .execute(
                "SELECT topic, generation, id, tenant, time_ms FROM seen "
                "WHERE (topic, generation, id, tenant) > (?, ?, ?, ?) "
                "ORDER BY topic, generation, id, tenant LIMIT ?",
                (*key, _STEP_ROWS),
            )
            .fetchall()
        )
        old = [row[:4] for row in rows if row[4] < now_ms - REMEMBERED_MS]
        yield partial(_forget, old) if old else None
        if len(rows) < _STEP_ROWS:
            return
        key = rows[-1][:4]


def _forget(keys: list[_Key], connection: sqlite3.Connection) -> None:
    connection.executemany(
        "DELETE FROM seen WHERE topic = ? AND generation = ? AND id = ? AND tenant = ?", keys
    )
