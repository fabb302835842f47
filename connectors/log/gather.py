"""Gathering: the entries of many appends, sorted into columns by partition.

These loops run once per record, so they make as few objects per record as they can.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from streams.log import Entry

# A topic and the number of one of its partitions.
Where = tuple[str, int]

_topic, _partition, _key, _value = map(itemgetter, range(4))


class Placed(NamedTuple):
    """Where the entries of one append at `indices` are: from `start` on in the columns of `where`."""

    where: Where
    indices: Sequence[int]
    start: int


class Gathered:
    """Keys and values of the records of each partition."""

    def __init__(self) -> None:
        self.columns: defaultdict[Where, tuple[list[bytes | None], list[bytes]]] = defaultdict(
            lambda: ([], [])
        )

    def add(self, entries: Sequence[Entry], sorted_: Mapping[Where, Sequence[int]]) -> list[Placed]:
        """Add an append's entries, as `sort` has sorted them."""
        placed = []
        for where, indices in sorted_.items():
            keys, values = self.columns[where]
            placed.append(Placed(where, indices, len(values)))
            chosen = entries if len(sorted_) == 1 else [entries[i] for i in indices]
            keys += map(_key, chosen)
            values += map(_value, chosen)
        return placed


def sort(entries: Sequence[Entry]) -> Mapping[Where, Sequence[int]]:
    """The indices of an append's entries, by partition."""
    if not entries:
        return {}
    where = entries[0][:2]
    if _all_are(_topic, where[0], entries) and _all_are(_partition, where[1], entries):
        return {where: range(len(entries))}  # as in most appends
    indices: defaultdict[Where, list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        indices[entry[:2]].append(i)
    return indices


def offsets(placed: Sequence[Placed], base: Mapping[Where, int]) -> Sequence[int]:
    """The offsets of an append's entries, given those of the first records of the columns."""
    if len(placed) == 1:
        first = base[placed[0].where] + placed[0].start
        return range(first, first + len(placed[0].indices))
    found = [0] * sum(len(place.indices) for place in placed)
    for where, indices, start in placed:
        for offset, i in enumerate(indices, base[where] + start):
            found[i] = offset
    return found


def _all_are(field: "itemgetter[int]", value: object, entries: Sequence[Entry]) -> bool:
    return list(map(field, entries)).count(value) == len(entries)
