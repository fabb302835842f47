"""What is personal in state and views is sealed where it is stored, whatever the store."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import msgspec
import notes_fold
import pytest
from msgspec.structs import replace
from notes import Latest, Note, NoteWritten, Word
from pairs import MemoryPair, SqlitePair

from connectors.store.sqlite import SqliteViews
from connectors.vault.master import Keyring
from connectors.vault.sqlite import SqliteVault
from schemas.fields import Personal, PlainIndex, Sealed, Subject
from schemas.ids import uuid7
from schemas.privacy import SubjectErased
from streams.decode import decode
from streams.errors import FoldError, Tampered, VaultUnavailable
from streams.fold import Fold
from streams.rehearsal import catalog_of, fold_events
from streams.runner import Runner
from streams.sealing import Origin, Sealer
from streams.state import GlobalTable, Table, Tables
from streams.views import FIRST_PAGE, Clustering, Partition, View, Views

FOLD = Fold.of(notes_fold)
CATALOG = catalog_of(FOLD)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Notes:
    """The fold of notes at work on a pair, with a vault that has keys."""

    def __init__(self, pair: Any, vault: SqliteVault):
        self.pair = pair
        self.vault = vault
        self.sealer = Sealer(CATALOG, vault)
        views = SqliteViews(pair.log, [FOLD]) if isinstance(pair, SqlitePair) else pair.store
        self.views = Views(views, self.sealer, "acme")
        self.restart()

    def restart(self):
        generation = self.pair.store.prepare(FOLD).active
        self.runner = Runner(FOLD, generation, 0, self.sealer, self.pair.store)

    def fold(self, *events: Any) -> None:
        origin = Origin(source="test", tenant="acme", time=NOW)
        entries = [self.sealer.entry(e, origin, uuid7(0)) for e in events]
        start = self.pair.log.bounds("notes", 0)[1]
        self.pair.log.append([e._replace(topic="notes", partition=0) for e in entries]).result()
        records = self.pair.log.read("notes", 0, start, 100)
        self.runner.process(decode(CATALOG, records))
        self.pair.store.commit([self.runner.take()]).result()

    def person(self, name: str) -> Subject:
        return self.vault.pseudonym("acme", name)

    def get(self, view: Any, *key: Any) -> Any:
        return asyncio.run(self.views.get(view, *key))

    def opened(self, *rows: Any) -> Any:
        return list(asyncio.run(self.views.opened(rows)))


@pytest.fixture(params=[MemoryPair, SqlitePair])
def notes(request: Any, tmp_path: Path) -> Iterator[Notes]:
    pair = request.param(CATALOG)
    vault = SqliteVault.open(tmp_path / "vault", Keyring({1: bytes(32)}, "a test"))
    yield Notes(pair, vault)
    pair.close()
    vault.close()


def stored_bytes(pair: Any) -> bytes:
    """All that a pair has of state and views, decoded."""
    if isinstance(pair, MemoryPair):
        (built,) = pair.store._built.values()
        views = [list(rows.values()) for rows in built.rows.values()]
        return msgspec.msgpack.encode(views) + b"".join(built.state.values())
    reader = pair.log.reader()
    tables = reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return b"".join(
        value if isinstance(value, bytes) else str(value).encode()
        for (table,) in tables
        if table.startswith(("state_", "view_"))
        for row in reader.execute(f"SELECT * FROM {table}")
        for value in row
    )


def test_readers_get_personal_fields_when_they_open_rows(notes: Notes):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "squeaks", 2))
    row = notes.get(Note, "door", 0)
    assert (row.author, row.text, row.stars) == (ann, None, None)
    assert row.sealed is not None
    assert notes.opened(row) == [Note("door", 0, ann, "squeaks", 2)]


def test_rows_of_all_tenants_are_sealed_for_the_tenant_that_they_name(notes: Notes):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "squeaks"))
    row = notes.get(Latest, "door")
    assert notes.opened(row) == [Latest("door", "acme", ann, "squeaks")]


def test_a_row_without_personal_fields_has_nothing_sealed(notes: Notes):
    notes.fold(NoteWritten("door", None))
    row = notes.get(Note, "door", 0)
    assert row == Note("door", 0, None)
    assert notes.opened(row) == [row]
    assert notes.opened() == []


def test_rows_of_whoever_was_erased_stay_sealed_among_the_others(notes: Notes):
    ann, bob = notes.person("ann"), notes.person("bob")
    notes.fold(NoteWritten("door", ann, "squeaks"), NoteWritten("door", bob, "does not"))
    rows = asyncio.run(notes.views.slice(Note, "door", page=FIRST_PAGE))
    notes.vault.destroy("acme", ann)
    of_ann, of_bob = notes.opened(*rows)
    assert (of_ann.text, of_ann.sealed) == (None, rows[0].sealed)
    assert (of_bob.text, of_bob.sealed) == ("does not", None)


def test_a_sealed_blob_opens_in_its_own_row_only(notes: Notes):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "squeaks"), NoteWritten("door", ann, "squeaks"))
    row = notes.get(Note, "door", 0)
    with pytest.raises(Tampered):
        notes.opened(replace(row, number=1.0))
    latest = notes.get(Latest, "door")
    with pytest.raises(Tampered):
        notes.opened(replace(row, sealed=latest.sealed))


def test_nothing_stored_yields_personal_fields_but_declared_indexes(notes: Notes):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "her telephone number"))
    stored = stored_bytes(notes.pair)
    assert b"her telephone number" not in stored
    assert b"telephone" in stored  # the positive control: words are a declared index


def test_state_is_open_again_after_a_restart(notes: Notes):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "squeaks"))
    notes.restart()
    ((_, _, last),) = notes.runner._state.last.items()
    assert (last.text, last.sealed) == ("squeaks", None)


def test_state_of_whoever_was_erased_has_no_personal_fields_and_goes(notes: Notes):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "squeaks"))
    notes.vault.destroy("acme", ann)
    notes.restart()
    notes.fold(SubjectErased(ann))
    assert notes.get(Note, "door", 0) is None
    assert notes.get(Latest, "door") is None


def test_rows_that_are_written_after_the_erasure_have_no_personal_fields(notes: Notes):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "squeaks"))
    notes.vault.destroy("acme", ann)
    notes.fold(NoteWritten("door", ann))
    assert notes.get(Note, "door", 1) == Note("door", 1, ann)


def test_a_vault_that_fails_keeps_the_runner_from_committing(notes: Notes, monkeypatch: Any):
    ann = notes.person("ann")
    notes.fold(NoteWritten("door", ann, "squeaks"))

    def fail(*_: Any) -> str:
        raise OSError("disk failure")

    start = notes.pair.log.bounds("notes", 0)[1]
    origin = Origin(source="test", tenant="acme", time=NOW)
    entry = notes.sealer.entry(NoteWritten("door", ann, "is mended"), origin, uuid7(0))
    notes.pair.log.append([entry._replace(partition=0)]).result()
    notes.runner.process(decode(CATALOG, notes.pair.log.read("notes", 0, start, 1)))
    monkeypatch.setattr(notes.vault, "seal", fail)
    with pytest.raises(VaultUnavailable):
        notes.runner.take()
    assert notes.runner.take() is None


def test_personal_fields_of_nobody_are_rejected():
    rehearsal = fold_events(nobody_fold(), NoteWritten("door", None))
    (letter,) = rehearsal.rejected
    assert "FoldError" in letter.reason
    assert rehearsal.views.slice(Note, "door") == []


def test_a_rehearsal_seals_and_opens_too():
    ann = Subject("ann")
    views = fold_events(notes_fold, NoteWritten("door", ann, "squeaks")).views
    (row,) = views.slice(Note, "door")
    assert row.text is None
    assert views.opened([row]) == [Note("door", 0, ann, "squeaks")]
    erased = fold_events(notes_fold, NoteWritten("door", ann, "squeaks"), SubjectErased(ann))
    assert erased.views.slice(Note, "door") == []
    assert erased.views.slice(Word, "squeaks") == []


def nobody_fold() -> ModuleType:
    def fold(batch, state, out):
        for event in batch:
            out.put(Note(event.data.thing, 0, event.data.author, "whose is this?"))

    fold.__annotations__["batch"] = notes_fold.fold.__annotations__["batch"]
    return module(fold=fold, Note=Note)


def module(**names: Any) -> ModuleType:
    made = ModuleType("streams.sample.fold")
    vars(made).update({"fold": notes_fold.fold, "erase": notes_fold.erase} | names)
    return made


class NoBlob(View):
    thing: Partition[str]
    author: Subject
    text: Personal[str] | None = None


class NoSubject(View):
    thing: Partition[str]
    text: Personal[str] | None = None
    sealed: Sealed = None


class TwoSubjects(View):
    thing: Partition[str]
    author: Subject
    reader: Subject
    text: Personal[str] | None = None
    sealed: Sealed = None


class Required(View):
    thing: Partition[str]
    author: Subject
    text: Personal[str]
    sealed: Sealed = None


class PersonalKey(View):
    name: Partition[Personal[str]]
    author: Subject
    sealed: Sealed = None


class Tenantless(View):
    GLOBAL: ClassVar[bool] = True

    thing: Partition[str]
    author: Subject
    text: Personal[str] | None = None
    sealed: Sealed = None


class Nested(View):
    thing: Partition[str]
    author: Subject
    last: notes_fold.Last


class IndexOfNobody(View):
    word: Partition[PlainIndex[str]]
    thing: Clustering[str]


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (NoBlob, "keep its Personal fields in one field `sealed: Sealed = None`"),
        (NoSubject, "exactly one field that is a Subject, .* not none"),
        (TwoSubjects, "exactly one field that is a Subject, .* not author, reader"),
        (Required, "text: must be optional, with None as its default"),
        (PersonalKey, "name: keys are not sealed: mark it as PlainIndex, or use a pseudonym"),
        (Tenantless, "shared by all tenants: .* `tenant: str`"),
        (Nested, "Personal marks fields of Nested itself"),
        (IndexOfNobody, "no field of its row is a Subject or Mention"),
    ],
)
def test_a_view_that_would_lie_in_the_clear_is_refused(view: type[View], said: str):
    with pytest.raises(FoldError, match=said):
        Fold.of(module(view=view))


class Values(Tables):
    texts: Table[Subject, Personal[str] | None]


class Keys(Tables):
    names: Table[Personal[str], int]


class Shared(Tables):
    last: GlobalTable[str, notes_fold.Last]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Values, "keep Personal values in a struct that names their Subject"),
        (Keys, "keys are not sealed"),
        (Shared, "shared by all tenants"),
    ],
)
def test_state_that_would_lie_in_the_clear_is_refused(state: type[Tables], said: str):
    with pytest.raises(FoldError, match=said):
        Fold.of(module(State=state))


def test_the_data_map_gets_state_and_views():
    stores = {store.name: store for store in FOLD.stores}
    assert stores["notes_fold.last"].sealed == {"value.text"}
    assert stores["note"].sealed == {"text", "stars"}
    assert stores["word"].plain_index == {"word"}
