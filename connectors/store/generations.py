"""Generations of folds in the embedded database: what each has made, and which one readers see."""

import sqlite3
from typing import NamedTuple

from connectors.store.tables import table_name, view_table
from connectors.store.versions import fields_of, may_become, refuse_older, refuse_other_views
from streams.commit import Generation, Prepared
from streams.errors import FoldError, NotYetApplied
from streams.fold import Fold
from streams.views import View, shape_of


class _Stored(NamedTuple):
    number: int
    version: int
    active: int
    requested: int


def state_table(generation: int) -> str:
    """The name of the table of a generation's state."""
    return f"state_{generation}"


def active_generation(connection: sqlite3.Connection, fold: str) -> int:
    """The generation of a fold that readers see.

    Raises:
        FoldError: the fold has never run on this data.
    """
    row = connection.execute(
        "SELECT number FROM generation WHERE fold = ? AND active = 1", (fold,)
    ).fetchone()
    if row is None:
        raise FoldError(f"fold {fold} has never run on this data: start `sixfold up`")
    number: int = row[0]
    return number


def readable_generation(connection: sqlite3.Connection, fold: Fold, view: type[View]) -> int:
    """The generation of a fold whose rows of a view can be read.

    Raises:
        FoldError: the fold has never run on this data.
        NotYetApplied: an older version of the fold has made a view with other fields.
    """
    number = active_generation(connection, fold.name)
    row = connection.execute(
        "SELECT fields FROM view WHERE generation = ? AND name = ?", (number, shape_of(view).name)
    ).fetchone()
    if row is None or not may_become(row[0], fields_of(view)):
        raise NotYetApplied(f"view {view.__name__} is being built")
    return number


def prepare(connection: sqlite3.Connection, fold: Fold) -> Prepared:
    """See the port."""
    stored = _stored(connection, fold)
    refuse_older(fold, max((s.version for s in stored), default=fold.version))
    if not stored:
        number = _create(connection, fold, active=1, requested=0)
        return Prepared(Generation(fold.name, number), True, None, 0)
    (active,) = [s for s in stored if s.active]
    building: int | None = None
    for other in stored:
        if other.active:
            continue
        if other.version == fold.version:
            building = other.number
        else:
            drop(connection, other.number)
    requested = max(s.requested for s in stored)
    if active.version == fold.version:
        _refuse_other_views(connection, fold, active.number)
    elif building is None:
        building = _create(connection, fold, active=0, requested=requested)
    return Prepared(
        active=Generation(fold.name, active.number),
        is_current=active.version == fold.version,
        building=None if building is None else Generation(fold.name, building),
        requested=requested,
    )


def begin(connection: sqlite3.Connection, fold: Fold, requested: int) -> Generation:
    """See the port."""
    for unfinished in _stored(connection, fold):
        if not unfinished.active:
            drop(connection, unfinished.number)
    return Generation(fold.name, _create(connection, fold, active=0, requested=requested))


def activate(connection: sqlite3.Connection, generation: Generation) -> None:
    """See the port."""
    others = connection.execute(
        "SELECT number FROM generation WHERE fold = ? AND number <> ?", generation
    ).fetchall()
    for (number,) in others:
        drop(connection, number)
    connection.execute("UPDATE generation SET active = 1 WHERE number = ?", (generation.number,))


def drop(connection: sqlite3.Connection, number: int) -> None:
    """Forget a generation and all that it has made."""
    views = connection.execute("SELECT name FROM view WHERE generation = ?", (number,)).fetchall()
    for table in (*(table_name(view, number) for (view,) in views), state_table(number)):
        connection.execute(f"DROP TABLE {table}")
    connection.execute(
        "DELETE FROM seen WHERE generation = ?1 AND topic IN "
        "(SELECT topic FROM applied WHERE generation = ?1)",
        (number,),
    )
    for table in ("view", "applied"):
        connection.execute(f"DELETE FROM {table} WHERE generation = ?", (number,))  # noqa: S608
    connection.execute("DELETE FROM generation WHERE number = ?", (number,))


def _stored(connection: sqlite3.Connection, fold: Fold) -> list[_Stored]:
    rows = connection.execute(
        "SELECT number, version, active, requested FROM generation WHERE fold = ?", (fold.name,)
    )
    return [_Stored(*row) for row in rows.fetchall()]


def _create(connection: sqlite3.Connection, fold: Fold, *, active: int, requested: int) -> int:
    number: int
    (number,) = connection.execute(
        "INSERT INTO generation (fold, version, active, requested) VALUES (?, ?, ?, ?) "
        "RETURNING number",
        (fold.name, fold.version, active, requested),
    ).fetchone()
    connection.execute(
        f"CREATE TABLE {state_table(number)} (partition INTEGER, name TEXT, key BLOB, "
        "value BLOB NOT NULL, PRIMARY KEY (partition, name, key)) WITHOUT ROWID"
    )
    for view in fold.views:
        connection.execute(view_table(view, number).create)
        connection.execute(
            "INSERT INTO view VALUES (?, ?, ?)", (number, shape_of(view).name, fields_of(view))
        )
    return number


def _refuse_other_views(connection: sqlite3.Connection, fold: Fold, number: int) -> None:
    query = "SELECT name, fields FROM view WHERE generation = ?"
    made = {shape_of(view).name: fields_of(view) for view in fold.views}
    refuse_other_views(fold, dict(connection.execute(query, (number,))), made)
