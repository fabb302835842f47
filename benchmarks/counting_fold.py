"""hit.counted → state."""

from benchmarks.counting import HitCounted
from streams.batch import Batch
from streams.effects import Effects
from streams.state import Table, Tables


class State(Tables):
    """Hits by key."""

    hits: Table[str, int]


def fold(batch: Batch[HitCounted], state: State, out: Effects) -> None:
    """Count."""
    hits = state.hits
    for event in batch:
        key = event.data.key
        hits[key] = hits.get(key, 0) + 1
