"""Notes: what somebody wrote about a thing, sealed wherever it is kept."""

from typing import ClassVar

from schemas.event import Data, event
from schemas.fields import Personal, PlainIndex, Sealed, Subject
from streams.views import Clustering, Partition, View


@event("note.written", topic="notes", key="thing")
class NoteWritten(Data):
    """Somebody wrote a note, instead of the one that the thing had."""

    thing: str
    author: Subject | None
    text: Personal[str] | None = None
    stars: Personal[int] | None = None


class Note(View):
    """The notes about a thing, by number."""

    thing: Partition[str]
    number: Clustering[float]
    author: Subject | None
    text: Personal[str] | None = None
    stars: Personal[int] | None = None
    sealed: Sealed = None


class Latest(View):
    """The latest note of all tenants about a thing."""

    GLOBAL: ClassVar[bool] = True

    thing: Partition[str]
    tenant: str
    author: Subject | None
    text: Personal[str] | None = None
    sealed: Sealed = None


class Word(View):
    """Who wrote a word, for whoever searches."""

    word: Partition[PlainIndex[str]]
    author: Clustering[Subject]
