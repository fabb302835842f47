"""third.reached → thirds by key."""

from hits import ThirdReached, Thirds

from streams.batch import Batch
from streams.effects import Effects
from streams.state import Table, Tables


class State(Tables):
    thirds: Table[str, int]


def fold(batch: Batch[ThirdReached], state: State, out: Effects) -> None:
    for event in batch:
        key = event.data.key
        state.thirds[key] = thirds = state.thirds.get(key, 0) + 1
        out.put(Thirds(key, thirds))
