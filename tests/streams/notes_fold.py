"""note.written → notes. State: the last note about each thing."""

import msgspec
from notes import Latest, Note, NoteWritten, Word

from schemas.fields import Personal, Sealed, Subject
from streams.batch import Batch
from streams.effects import Effects
from streams.state import Table, Tables

OPENS = True


class Last(msgspec.Struct, frozen=True):
    number: int
    author: Subject | None
    text: Personal[str] | None = None
    sealed: Sealed = None


class State(Tables):
    last: Table[str, Last]


def fold(batch: Batch[NoteWritten], state: State, out: Effects) -> None:
    for event in batch:
        note = event.data
        before = state.last.get(note.thing)
        number = before.number + 1 if before else 0
        state.last[note.thing] = Last(number, note.author, note.text)
        out.put(Note(note.thing, number, note.author, note.text, note.stars))
        out.put(Latest(note.thing, event.tenant, note.author, note.text))
        for word in (note.text or "").split():
            out.put(Word(word, note.author or Subject("")))


def erase(author: Subject, state: State, out: Effects) -> None:
    for thing, last in state.last.pop_subject(author):
        out.delete(Note, thing, last.number)
        out.delete(Latest, thing)
        for word in (last.text or "").split():
            out.delete(Word, word, author)
