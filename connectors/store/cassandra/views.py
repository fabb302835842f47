"""Reading views from Cassandra."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar, cast

from cassandra import InvalidRequest

from connectors.store.cassandra.current import Current
from connectors.store.cassandra.merging import merged, rows_of_each
from connectors.store.cassandra.session import Session
from connectors.store.cassandra.tables import ViewTable, layout_of, view_table
from connectors.store.versions import may_become
from connectors.store.writers import Writers, scope
from streams.errors import NotYetApplied
from streams.fold import Fold
from streams.log import Position
from streams.views import Key, Page, V, View, shape_of

T = TypeVar("T")

_POLL_S = 0.005


class CassandraViews:
    """`streams.views.ViewStore` on Cassandra; for one event loop.

    Every method may raise StoreUnavailable. What a fold has applied is asked every few milliseconds
    while somebody waits for it, once for all who do.
    """

    def __init__(
        self, session: Session, folds: Iterable[Fold], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Serve the views of these folds.

        Args:
            clock: seconds; by it readers notice that another generation is active.

        Raises:
            FoldError: two folds write the same view.
        """
        self._session = session
        self._writers = Writers(folds)
        self._current = Current(session, clock)

    async def get(self, view: type[V], tenant: str, key: Key) -> V | None:
        """The row with this whole key."""

        async def read(table: ViewTable) -> V | None:
            rows = await self._session.rows(table.get, table.place(scope(view, tenant), key))
            return cast(V, table.row(rows[0])) if rows else None

        return await self._read(view, read)

    async def slice(self, view: type[V], tenant: str, prefix: Key, page: Page) -> Sequence[V]:
        """Rows of one partition in clustering order."""
        if page.limit <= 0:
            return []

        async def read(table: ViewTable) -> Sequence[V]:
            query, buckets = table.slices(scope(view, tenant), prefix, page)
            if len(buckets) == 1:
                rows = await self._session.rows(query, buckets[0])
            else:
                each = rows_of_each(page, len(buckets))
                pages = [await self._session.pages(query, bucket, each) for bucket in buckets]
                rows = await merged(pages, table.clustering_of, page)
            return [cast(V, table.row(row)) for row in rows]

        return await self._read(view, read)

    async def wait(self, view: type[View], position: Position, timeout_s: float) -> None:
        """Return as soon as the view has applied a position; see the port."""
        fold = self._writers.fed_by(view, position)
        try:
            async with asyncio.timeout(timeout_s):
                while await self._current.applied(fold, *position[:2]) <= position.offset:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise NotYetApplied(f"{position} was not applied within {timeout_s:g} s") from None

    async def _read(self, view: type[V], read: Callable[[ViewTable], Awaitable[T]]) -> T:
        """What is read from the active generation; another may just have taken its place."""
        fold = self._writers.of(view)
        table = await self._table(fold, view)
        try:
            return await read(table)
        except InvalidRequest:
            self._current.forget(fold)
            another = await self._table(fold, view)
            if another is table:
                raise
            return await read(another)

    async def _table(self, fold: Fold, view: type[View]) -> ViewTable:
        active = await self._current.generation(fold)
        if not may_become(active.layouts.get(shape_of(view).name), layout_of(view)):
            raise NotYetApplied(f"view {view.__name__} is being built")
        return view_table(view, active.number)
