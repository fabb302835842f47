"""poll.* events → tallies. State: each voter's current choice, each option's count."""

from polls import PollOpened, PollVoted, Tally

from schemas.fields import Subject
from streams.batch import Batch
from streams.effects import Effects
from streams.state import Table, Tables


class State(Tables):
    choice: Table[tuple[str, Subject], int]
    votes: Table[tuple[str, int], int]


def fold(batch: Batch[PollOpened | PollVoted], state: State, out: Effects) -> None:
    for event in batch:
        match event.data:
            case PollOpened() as opened:
                for option in range(len(opened.options)):
                    if (opened.poll, option) not in state.votes:
                        _add(opened.poll, option, 0, state, out)
            case PollVoted() as vote if (vote.poll, vote.option) in state.votes:
                before = state.choice.get((vote.poll, vote.voter))
                if before == vote.option:
                    continue
                if before is not None:
                    _add(vote.poll, before, -1, state, out)
                _add(vote.poll, vote.option, +1, state, out)
                state.choice[vote.poll, vote.voter] = vote.option


def erase(voter: Subject, state: State, out: Effects) -> None:
    for (poll, _), option in state.choice.pop_subject(voter):
        _add(poll, option, -1, state, out)


def _add(poll: str, option: int, n: int, state: State, out: Effects) -> None:
    votes = state.votes.get((poll, option), 0) + n
    state.votes[poll, option] = votes
    out.put(Tally(poll, option, votes))
