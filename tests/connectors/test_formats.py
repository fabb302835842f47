"""Formats of files: an older one is upgraded when it is asked for, a newer one is refused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connectors.database import FORMAT, connect
from connectors.errors import NewerFormat, OlderFormat, UpgradeRefused
from connectors.formats import Format, Migration


def _add_colour(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'")


def _fail(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE thing")
    raise UpgradeRefused("it cannot be painted")


FIRST = Format()
COLOURED = Migration("things have a colour", _add_colour)
SECOND = Format(COLOURED)
THIRD = Format(COLOURED, Migration("things have none", lambda c: c.execute("DELETE FROM thing")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of the first format."""
    with closing(opened(tmp_path / "things.db")) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE thing (name TEXT)")
        connection.execute("INSERT INTO thing VALUES ('chair')")
        FIRST.mark(connection)
        connection.execute("COMMIT")
    return tmp_path / "things.db"


def opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


def rows(path: Path) -> list[tuple[str, ...]]:
    with closing(opened(path)) as connection:
        return connection.execute("SELECT * FROM thing").fetchall()


def checked(path: Path, format: Format) -> None:
    with closing(opened(path)) as connection:
        format.check(connection, path)


def test_an_older_file_says_what_to_run(path: Path) -> None:
    checked(path, FIRST)
    with pytest.raises(OlderFormat, match=r"format 1, and this Sixfold needs 3.*`sixfold upgrade`"):
        checked(path, THIRD)
    assert rows(path) == [("chair",)]


def test_migrations_run_in_their_order_and_once(path: Path) -> None:
    assert [line.split(": ", 1)[1] for line in SECOND.upgrade(path)] == [
        "format 1 → 2: things have a colour"
    ]
    assert rows(path) == [("chair", "grey")]
    checked(path, SECOND)
    assert [line.split(": ", 1)[1] for line in THIRD.upgrade(path)] == [
        "format 2 → 3: things have none"
    ]
    assert list(THIRD.upgrade(path)) == []
    assert rows(path) == []
    checked(path, THIRD)


def test_a_newer_file_is_refused_naming_the_versions(path: Path) -> None:
    list(THIRD.upgrade(path))
    for use in (checked, lambda path, format: list(format.upgrade(path))):
        with pytest.raises(NewerFormat, match="format 3, and this Sixfold reads up to 2"):
            use(path, SECOND)


def test_a_migration_that_fails_changes_nothing_and_keeps_what_went_before(path: Path) -> None:
    failing = Format(COLOURED, Migration("things are painted", _fail))
    upgrading: Iterator[str] = failing.upgrade(path)
    assert "1 → 2" in next(upgrading)
    with pytest.raises(
        UpgradeRefused, match=r"things\.db cannot be upgraded: it cannot be painted"
    ):
        next(upgrading)
    checked(path, SECOND)
    assert rows(path) == [("chair", "grey")]


def test_a_file_that_somebody_has_open_is_not_upgraded(path: Path) -> None:
    with closing(opened(path)) as other:
        other.execute("SELECT * FROM thing").fetchall()
        with pytest.raises(UpgradeRefused, match="another process has it open: stop the host"):
            list(SECOND.upgrade(path))
    assert len(list(SECOND.upgrade(path))) == 1


def test_a_file_without_anything_in_it_is_left_to_whoever_makes_its_tables(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    assert list(THIRD.upgrade(empty)) == []
    with closing(opened(empty)) as connection:
        assert THIRD.is_missing(connection)


def test_a_log_of_before_the_first_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(opened(path)) as connection:  # what the first commits made of it, in part
        connection.execute("CREATE TABLE generation (fold TEXT, generation INTEGER)")
        connection.execute("CREATE TABLE seen (topic TEXT, fold TEXT, id TEXT)")
        connection.execute("PRAGMA user_version=1")
    with pytest.raises(OlderFormat):
        connect(path)
    with pytest.raises(UpgradeRefused, match=r"before the first release.*new data directory"):
        list(FORMAT.upgrade(path))
