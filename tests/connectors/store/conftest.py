"""Either pair, with the fold of birds."""

from collections.abc import Iterator
from typing import Any

import pytest
from stores import BIRDS, Pair, memory_pair, sqlite_pair

from connectors.log.sqlite import SqliteLog


@pytest.fixture
def log(tmp_path: Any) -> Iterator[SqliteLog]:
    made = SqliteLog(tmp_path / "log.db", "NORMAL", watermark_bytes=0)
    yield made
    made.close()


@pytest.fixture(params=["memory", "sqlite"])
def pair(request: Any) -> Pair:
    """The birds' fold on either pair."""
    if request.param == "memory":
        return memory_pair(BIRDS)
    return sqlite_pair(request.getfixturevalue("log"), BIRDS)
