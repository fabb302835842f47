"""What the jobs of upkeep are made of: small steps, and the partitions they work on."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

from connectors.log.writer import Work

# The calling thread's connection for reading.
Read = Callable[[], sqlite3.Connection]

# Transactions, one after the other: each is done when the next one is asked for. None where some
# was only looked at, so that whoever runs the steps can take a breath there too.
Steps = Iterator[Work | None]


class Partition(NamedTuple):
    """A row of the table `partition`."""

    id: int
    topic: str
    number: int
    first: int
    next: int
    compacted: int


def partitions(connection: sqlite3.Connection) -> list[Partition]:
    """All partitions."""
    rows = connection.execute(
        "SELECT id, topic, partition, first, next, compacted FROM partition ORDER BY id"
    )
    return [Partition(*row) for row in rows]
