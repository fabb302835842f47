"""Rewriting: segments replaced by what is left of their records, at the same offsets."""

import sqlite3
from collections.abc import Callable, Sequence

from connectors.log.segment import OFFSET_BITS, Columns, join, pack, unpack

Change = Callable[[Columns], Columns]


def rewrite(connection: sqlite3.Connection, ids: Sequence[int], change: Change) -> None:
    """Replace neighbouring segments by one that holds what `change` makes of their records.

    Within a transaction. Readers see the segments before or the one after it, never both. If the
    segments are not the ones that are there any more, nothing happens.
    """
    found = connection.execute(
        "SELECT id, body FROM segment WHERE id BETWEEN ? AND ? ORDER BY id", (ids[0], ids[-1])
    ).fetchall()
    if [id for id, _ in found] != list(ids):
        return
    changed = change(join([unpack(id, body) for id, body in found]))
    connection.execute("DELETE FROM segment WHERE id BETWEEN ? AND ?", (ids[0], ids[-1]))
    if changed.values:
        row = pack(ids[0] >> OFFSET_BITS, changed)
        connection.execute("INSERT INTO segment VALUES (?, ?, ?, ?)", row)


def chosen(columns: Columns, indices: Sequence[int]) -> Columns:
    """Some of the records, by their indices."""
    offsets, times_ms, keys, values = columns
    return Columns(
        [offsets[i] for i in indices],
        [times_ms[i] for i in indices],
        [keys[i] for i in indices],
        [values[i] for i in indices],
    )
