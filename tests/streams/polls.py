"""Polls: a question with options; each voter's latest choice counts."""

from schemas.event import Data, event
from schemas.fields import Personal, Subject
from streams.views import Clustering, Partition, View


@event("poll.opened", topic="polls", key="poll")
class PollOpened(Data):
    """A poll can be voted on."""

    poll: str
    options: list[str]


@event("poll.voted", topic="polls", key="poll")
class PollVoted(Data):
    """A voter chose an option, instead of whatever they chose before."""

    poll: str
    voter: Subject
    option: int
    comment: Personal[str] | None = None


class Tally(View):
    """Votes per option of one poll."""

    poll: Partition[str]
    option: Clustering[int]
    votes: int
