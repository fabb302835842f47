"""poll.voted → comments, which are sealed where they are kept. State: the last one of each poll."""

import msgspec
from api import PollVoted

from schemas.fields import Personal, Sealed, Subject
from streams.batch import Batch
from streams.effects import Effects
from streams.state import Table, Tables
from streams.views import Clustering, Partition, View

OPENS = True


class Last(msgspec.Struct, frozen=True):
    in_words: str
    voter: Subject | None
    comment: Personal[str] | None = None
    sealed: Sealed = None


class State(Tables):
    last: Table[str, Last]


class Comment(View):
    """What was said about an option of a poll."""

    poll: Partition[str]
    option: Clustering[int]
    in_words: str
    voter: Subject | None
    comment: Personal[str] | None = None
    sealed: Sealed = None


def fold(batch: Batch[PollVoted], state: State, out: Effects) -> None:
    for event in batch:
        vote = event.data
        in_words = f"{vote.poll}, in words"
        state.last[vote.poll] = Last(in_words, vote.voter, vote.comment)
        out.put(Comment(vote.poll, vote.option, in_words, vote.voter, vote.comment))


def erase(voter: Subject, state: State, out: Effects) -> None:
    state.last.pop_subject(voter)
