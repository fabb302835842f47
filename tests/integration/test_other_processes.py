"""What another process appends reaches the agents because it is noticed, not by a timer's mercy."""

import asyncio
import os
import subprocess
import sys

import pytest
from hits import Hits
from test_agents import HITS, DataDirectory, Running, data

from connectors.transport import sqlite as transport
from streams.log import Position

__all__ = ["data"]  # the fixture

APPENDS = 15

APPEND_WHEN_TOLD = """
import sys
from pathlib import Path
from connectors.log.sqlite import SqliteLog
from hits import HitCounted
from streams.fold import Fold
from streams.rehearsal import START, OpenVault, catalog_of
from streams.sealing import Origin, Sealer
import hits_fold
sealer = Sealer(catalog_of(Fold.of(hits_fold)), OpenVault())
log = SqliteLog(Path(sys.argv[1]), "NORMAL", watermark_bytes=0)
print("ready", flush=True)
for n, _ in enumerate(sys.stdin):
    origin = Origin(source="client/other", tenant="acme", time=START)
    log.append([sealer.entry(HitCounted("a"), origin, f"other-{n}")]).result()
log.close()
"""


def test_agents_fold_what_another_process_appends_as_soon_as_it_is_there(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = transport.Consumer._something_to_do

    async def patiently(consumer: transport.Consumer, version: int, timeout_s: float) -> None:
        await wait(consumer, version, 60.0)  # whoever needed the time-out would be too late

    monkeypatch.setattr(transport.Consumer, "_something_to_do", patiently)
    other = subprocess.Popen(
        [sys.executable, "-c", APPEND_WHEN_TOLD, data.log.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert other.stdin is not None and other.stdout is not None

    async def main() -> None:
        async with Running(data, HITS) as running:
            for n in range(APPENDS):
                print(n, file=other.stdin, flush=True)
                await running.views.wait(Hits, Position("hits", 0, n), 10)
                await asyncio.sleep(0.01)  # so that nobody is looking anyway

    with other:
        assert other.stdout.readline() == "ready\n"
        asyncio.run(main())
        other.stdin.close()
