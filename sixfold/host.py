"""The host: the one process that runs the agents of an embedded data directory."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack

import structlog

from batch.lake import Lake
from connectors.lock import HostLock
from connectors.log.upkeep import Upkeep
from connectors.store.sqlite import SqliteCommitter, applied_offset
from sixfold.first_start import first_start
from sixfold.gateway import Gateway
from sixfold.key_range import keep_key_range
from sixfold.memory import settle, unsettle
from sixfold.older_copy import refuse_unnoted_restore
from sixfold.platform import Platform, make_directory
from sixfold.settings import Settings
from sixfold.wiring import CATALOG, FOLDS
from streams.agent import Agent
from streams.application import Application
from streams.errors import VaultError

log = structlog.get_logger()

# Salts are dropped when the next day's is made too; this is for when nobody clicks.
_DROP_SALTS_S = 3600.0


class Host:
    """Agents, upkeep and, unless it is told otherwise, a gateway: all in this process."""

    def __init__(self, settings: Settings, with_gateway: bool = True) -> None:
        self._settings = settings
        self._with_gateway = with_gateway
        self._stack = AsyncExitStack()
        self.gateway: Gateway | None = None
        self.application: Application | None = None

    async def start(self) -> None:
        """Start; returns when requests are taken.

        Raises:
            NoDirectory: the data directory cannot be made.
            HostLocked: another process is host of this data directory.
            LogRestored: the log is older than the lake, and nobody has said so.
            BadSettings: its links were made with another `links.region`, or a higher `links.base`.
        """
        settings = self._settings
        make_directory("data", settings.data)
        try:
            self._stack.enter_context(HostLock(settings.data))
            self.platform = self._stack.enter_context(Platform.create(settings))
            refuse_unnoted_restore(self.platform)
            keep_key_range(self.platform)
            self.application = await self._start_agents()
            await first_start(self.platform)
            if self._with_gateway:
                self.gateway = Gateway(self.platform)
                await self.gateway.start()
                self._stack.push_async_callback(self.gateway.stop)
            self._start_upkeep()
        except BaseException:
            await self._stack.aclose()
            raise
        settle()

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set.

        Raises:
            RuntimeError: an agent failed for good; a supervisor should start the host again.
        """
        assert self.application is not None
        crashed = asyncio.create_task(self.application.failure())
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({crashed, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            crashed.cancel()
            await self.stop()
        if crashed.done() and not crashed.cancelled():
            raise RuntimeError("an agent failed; see the log above") from crashed.result()

    async def stop(self) -> None:
        """Stop taking requests, make durable what was folded, and close."""
        unsettle()
        await self._stack.aclose()

    def _start_upkeep(self) -> None:
        upkeep = Upkeep(self.platform.log, CATALOG.topics.values(), self._droppable)
        self._keep_running(upkeep.run(), "upkeep")
        self._keep_running(self._drop_salts(), "drop salts")

    def _keep_running(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(stop)

    async def _drop_salts(self) -> None:
        """Forget the salts of past days in time."""
        while True:
            await asyncio.sleep(_DROP_SALTS_S)
            try:
                await asyncio.to_thread(self.platform.vault.drop_expired_salts)
            except VaultError as error:
                log.warning("salts of past days could not be dropped", error=str(error))

    def _droppable(self, topic: str, partition: int) -> int:
        """Below which offset nobody needs the records of a partition any more."""
        log = self.platform.log
        needed = [
            applied_offset(log, fold.name, topic, partition)
            for fold in FOLDS
            if topic in fold.topics
        ]
        if CATALOG.topics[topic].archived:
            lake = Lake(self._settings.lake, CATALOG)
            needed.append(lake.table(topic).archived(log.incarnation, partition))
        return min(needed, default=log.bounds(topic, partition)[1])

    async def _start_agents(self) -> Application:
        committer = SqliteCommitter(self.platform.log)
        agents = [
            Agent(fold, committer, self.platform.sealer, CATALOG.topics[fold.topics[0]].partitions)
            for fold in FOLDS
        ]
        application = Application(self.platform.log, CATALOG, agents, self._settings.data / "faust")
        await application.start()
        self._stack.push_async_callback(application.stop)
        return application
