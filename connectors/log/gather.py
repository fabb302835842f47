"""Gathering: the entries of many appends, sorted into columns by partition.

These loops run once per record, so they make as few objects per record as they can.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter

from streams.log import Entry

# A topic and the number of one of its partitions.
Where = tuple[str, int]

# Where the entries of one append at some indices are: from an index on in the columns of a
# partition, as (partition, indices, first index there).
Placed = tuple[Where, Sequence[int], int]

_topic, _partition, _key, _value = map(itemgetter, range(4))


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
            placed.append((where, indices, len(values)))
            chosen = entries if len(sorted_) == 1 else [entries[i] for i in indices]
            keys += map(_key, chosen)
            values += map(_value, chosen)
        return placed


def sort(entries: Sequence[Entry]) -> Mapping[Where, Sequence[int]]:
    """The indices of an append's entries, by partition."""
    if not entries:
        return {}
    where = entries[0][:2]
    if len(entries) == 1 or _are_all_in(where, entries):
        return {where: range(len(entries))}
    indices: defaultdict[Where, list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        indices[entry[:2]].append(i)
    return indices


def offsets(placed: Sequence[Placed], base: Mapping[Where, int]) -> Sequence[int]:
    """The offsets of an append's entries, given those of the first records of the columns."""
    if len(placed) == 1:
        where, indices, start = placed[0]
        return range(base[where] + start, base[where] + start + len(indices))
    found = [0] * sum(len(indices) for _, indices, _ in placed)
    for where, indices, start in placed:
        for offset, i in enumerate(indices, base[where] + start):
            found[i] = offset
    return found


def _are_all_in(where: Where, entries: Sequence[Entry]) -> bool:
    for field, value in zip((_topic, _partition), where, strict=True):
        if list(map(field, entries)).count(value) != len(entries):
            return False
    return True
