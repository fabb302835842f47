"""What readers know of folds: the generation that is active, and what it has applied."""

import asyncio
from collections.abc import Callable

from connectors.store.cassandra.generations import READ, Known, Stored
from connectors.store.cassandra.session import Row, Session
from streams.errors import FoldError
from streams.fold import Fold

_APPLIED = "SELECT topic, partition, next FROM keyspace.applied WHERE fold = ? AND number = ?"

# For so long readers may go on with a generation after another has become the active one.
_KNOWN_S = 1.0


class Current:
    """Asks the store, once for all tasks of an event loop that want to know the same just now."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._known: dict[str, tuple[float, Stored]] = {}
        self._asking: dict[tuple[str, Row], asyncio.Task[list[Row]]] = {}

    async def generation(self, fold: Fold) -> Stored:
        """The one that readers see, as of a second ago at most.

        Raises:
            FoldError: the fold has never run on this data.
            StoreUnavailable: try again.
        """
        until_s, stored = self._known.get(fold.name, (0.0, None))
        if stored is not None and self._clock() < until_s:
            return stored
        stored = Known.of(await self._ask(READ, fold.name)).seen()
        if stored is None:
            raise FoldError(f"fold {fold.name} has never run on this data: start a worker")
        self._known[fold.name] = self._clock() + _KNOWN_S, stored
        return stored

    async def applied(self, fold: Fold, topic: str, partition: int) -> int:
        """The offset of the first record of a partition that is not applied.

        Raises:
            FoldError, StoreUnavailable: see `generation`.
        """
        number = (await self.generation(fold)).number
        rows = await self._ask(_APPLIED, fold.name, number)
        found = (next_ for *where, next_ in rows if where == [topic, partition])
        return next(found, 0)

    def forget(self, fold: Fold) -> None:
        """Ask for the active generation anew."""
        self._known.pop(fold.name, None)

    async def _ask(self, cql: str, *parameters: object) -> list[Row]:
        question = cql, parameters
        task = self._asking.get(question)
        if task is None:
            task = asyncio.create_task(self._session.rows(cql, parameters))
            self._asking[question] = task
            task.add_done_callback(lambda task: self._answered(question, task))
        return await asyncio.shield(task)

    def _answered(self, question: tuple[str, Row], task: asyncio.Task[list[Row]]) -> None:
        del self._asking[question]
        if not task.cancelled():
            task.exception()  # whoever asked may have given up meanwhile
