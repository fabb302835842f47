"""Rows of several buckets as one slice."""

import asyncio
from collections.abc import Callable, Sequence

from connectors.store.cassandra.session import Pages, Row
from streams.views import Page

# A bucket may hold some more than its share of the rows that are wanted.
_SPARE_ROWS = 32


def rows_of_each(page: Page, buckets: int) -> int:
    """How many rows to ask of each bucket at a time."""
    return page.limit // buckets + _SPARE_ROWS


async def merged(buckets: Sequence[Pages], order: Callable[[Row], Row], page: Page) -> list[Row]:
    """The first rows of all buckets together, each of which has its own in order.

    Raises:
        StoreUnavailable: some of them cannot be had now.
    """
    rows: list[Row] = []
    last: dict[Pages, Row] = {}
    due = buckets
    while due:
        for bucket, got in zip(due, await asyncio.gather(*(b.next() for b in due)), strict=True):
            rows += got
            if got:
                last[bucket] = order(got[-1])
        rows.sort(key=order, reverse=page.reverse)
        due = [bucket for bucket in buckets if bucket.more]
        if len(rows) >= page.limit:
            end = order(rows[page.limit - 1])
            due = [b for b in due if b not in last or _is_before(last[b], end, page.reverse)]
    return rows[: page.limit]


def _is_before(key: Row, end: Row, reverse: bool) -> bool:
    return key > end if reverse else key < end
