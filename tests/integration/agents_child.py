"""A host that counts hits in a data directory until it is killed: `agents_child.py DIRECTORY`."""

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "streams"))

import hits_fold
import thirds_fold

from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteCommitter
from streams.agent import Agent
from streams.application import Application
from streams.fold import Fold
from streams.rehearsal import OpenVault, catalog_of
from streams.sealing import Sealer


async def main(directory: Path) -> None:
    folds = [Fold.of(hits_fold), Fold.of(thirds_fold)]
    catalog = catalog_of(*folds)
    log = SqliteLog(directory / "log.db", watermark_bytes=0)
    sealer = Sealer(catalog, OpenVault())
    agents = [Agent(fold, SqliteCommitter(log), sealer, 1) for fold in folds]
    application = Application(log, catalog, agents, directory / "faust")
    await application.start()
    print("up", flush=True)
    raise await application.failure()


asyncio.run(main(Path(sys.argv[1])))
