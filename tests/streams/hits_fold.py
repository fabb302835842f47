"""hit.counted → hits by key; every third is an event."""

from hits import POISON, HitCounted, Hits, ThirdReached

from streams.batch import Batch
from streams.effects import Effects
from streams.state import Table, Tables


class State(Tables):
    hits: Table[str, tuple[int, int]]


def fold(batch: Batch[HitCounted], state: State, out: Effects) -> None:
    for event in batch:
        hit = event.data
        hits, total = state.hits.get(hit.key, (0, 0))
        hits, total = hits + 1, total + hit.n
        state.hits[hit.key] = hits, total
        out.put(Hits(hit.key, hits, total))
        if hits % 3 == 0:
            out.emit(ThirdReached(hit.key, hits))
            out.emit(ThirdReached(f"{hit.key}/again", hits))
        if hit.n == POISON:
            raise ValueError(f"poison of {hit.key}")
