"""The host's ear: it builds what has to be built, and obeys what operators ask on `control`."""

import asyncio
from collections.abc import Sequence

import structlog

from schemas.catalog import Catalog
from schemas.control import CONTROL, RebuildRequested
from streams.agent import Agent
from streams.decode import decode
from streams.errors import LogUnavailable, RebuildRefused
from streams.following import follow
from streams.log import Log
from streams.rebuild import Rebuild, refuse_if_incomplete

log = structlog.get_logger()

_RETRY_S = 0.5


class Control:
    """Has the generations of agents built, one at a time.

    Attributes:
        position: the offset of the first request that was not looked at.
    """

    def __init__(self, log: Log, catalog: Catalog, agents: Sequence[Agent]) -> None:
        self._log = log
        self._catalog = catalog
        self.position = 0
        self._agents = {agent.fold.name: agent for agent in agents}

    async def run(self) -> None:
        """Finish what an earlier host has left, then obey, until cancelled.

        Raises:
            LogUnavailable: requests cannot be read.
            RebuildRefused: a fold has a new version, and the log no longer has what it needs.
            VaultError: personal fields could not be opened.
        """
        for agent in self._agents.values():
            if agent.building is not None:
                await self._build(agent)
        if CONTROL.name not in self._catalog.topics:
            return
        async for records in follow(self._log, CONTROL.name, 0, self.position):
            decoded = decode(self._catalog, records)
            for offset, event in zip(decoded.offsets, decoded.events, strict=True):
                if isinstance(event.data, RebuildRequested):
                    await self._obey(event.data, offset)
            self.position = records.next_offset

    async def _obey(self, request: RebuildRequested, offset: int) -> None:
        agent = self._agents.get(request.fold)
        if agent is None or offset < agent.requested:
            return
        try:
            refuse_if_incomplete(agent.fold, self._log)
        except RebuildRefused as error:
            log.error("rebuild refused", fold=request.fold, reason=str(error))
            return
        agent.begin(requested=offset + 1)
        await self._build(agent)

    async def _build(self, agent: Agent) -> None:
        while agent.building is not None:
            try:
                await Rebuild(agent, self._log, self._catalog).run()
            except LogUnavailable as error:
                log.warning("rebuild interrupted", fold=agent.fold.name, error=str(error))
                await asyncio.sleep(_RETRY_S)
        for topic in agent.fold.topics:
            for runner in agent.runners:
                await agent.catch_up(self._log, self._catalog, topic, runner.partition)
