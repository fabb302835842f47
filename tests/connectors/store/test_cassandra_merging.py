"""Rows of buckets, put together page by page."""

import asyncio

import pytest

from connectors.store.cassandra.merging import merged
from streams.views import Page


class Bucket:
    """Pages of one bucket; it counts those that were read."""

    def __init__(self, numbers, rows=2):
        self._left = [(n,) for n in numbers]
        self._rows = rows
        self.more = True
        self.pages = 0

    async def next(self):
        self.pages += 1
        page, self._left = self._left[: self._rows], self._left[self._rows :]
        self.more = bool(self._left)
        return page


def numbers(buckets, **page):
    rows = asyncio.run(merged(buckets, lambda row: row, Page(**page)))
    return [n for (n,) in rows]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 11, 12, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_all_are_there_in_order_however_they_are_spread(limit, reverse):
    spread = [[1, 2, 3, 4, 5, 6, 7], [], [0, 9], [8, 10, 11]]
    buckets = [Bucket(sorted(part, reverse=reverse)) for part in spread]
    assert (
        numbers(buckets, limit=limit, reverse=reverse) == sorted(range(12), reverse=reverse)[:limit]
    )


def test_no_more_is_read_than_it_takes():
    near, far = Bucket(range(100)), Bucket(range(1_000, 1_100))
    assert numbers([near, far], limit=6) == list(range(6))
    assert (near.pages, far.pages) == (3, 2)
