"""Agents beside the raw loop: read, decode, count in a dict."""

import asyncio
import gc
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

import benchmarks.counting
import benchmarks.counting_fold
import benchmarks.serving_fold
import schemas.dead
import schemas.privacy
from benchmarks.counting import HITS, Count, HitCounted
from benchmarks.figures import percentile, seconds
from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteCommitter, SqliteViews, applied_offset
from connectors.transport.sqlite import BATCH_RECORDS
from connectors.vault.master import EphemeralMasterKey
from connectors.vault.sqlite import SqliteVault
from schemas.catalog import Catalog
from schemas.ids import uuid7
from streams.agent import Agent
from streams.application import Application
from streams.cursor import Cursor
from streams.fold import Fold
from streams.log import Entry, Position
from streams.sealing import Origin, Sealer
from streams.state import Table

ROUNDS = 3
EVENTS = 1_000_000
KEYS = 1_000
TABLE_ROWS = 1_000_000
PACED_EVENTS = 2_000
PACED_PER_S = 200

CATALOG = Catalog.of(benchmarks.counting, schemas.dead, schemas.privacy)
COUNTING = Fold.of(benchmarks.counting_fold)
SERVING = Fold.of(benchmarks.serving_fold)


def run(directory: Path) -> dict[str, float]:
    """Fold 1M events with causes over 1,000 keys, then serve 200 events a second."""
    return uvloop.run(_run(directory))


async def _run(directory: Path) -> dict[str, float]:
    vault = SqliteVault.open(directory / "vault", EphemeralMasterKey())
    sealer = Sealer(CATALOG, vault)
    log = SqliteLog(directory / "log.db")
    log.create(CATALOG.topics.values())
    _fill(log, sealer)
    gc.collect()
    gc.freeze()
    rounds = [await _round(log, sealer, directory, n) for n in range(ROUNDS)]
    latencies_s = await _paced(log, sealer, directory)
    recovery_s = _recover()
    log.close()
    vault.close()
    return {
        "fold_vs_raw": median(one.raw_s / one.counting_s for one in rounds),
        "stateful_fold_vs_raw": median(one.raw_s / one.serving_s for one in rounds),
        "raw_per_s": EVENTS / median(one.raw_s for one in rounds),
        "fold_per_s": EVENTS / median(one.counting_s for one in rounds),
        "stateful_fold_per_s": EVENTS / median(one.serving_s for one in rounds),
        "append_to_view_p50_ms": percentile(latencies_s, 0.5) * 1e3,
        "append_to_view_p99_ms": percentile(latencies_s, 0.99) * 1e3,
        "recovery_1m_rows_s": recovery_s,
        "start_to_first_batch_s": median(one.first_batch_s for one in rounds),
    }


class _Round(NamedTuple):
    """Seconds for all events, and from an application's start to the first batch."""

    raw_s: float
    counting_s: float
    serving_s: float
    first_batch_s: float


async def _round(log: SqliteLog, sealer: Sealer, directory: Path, n: int) -> _Round:
    """Fold everything with folds that are new to the log, the raw loop before, between and after."""
    raw_s = [seconds(lambda: _raw(log))]
    counting = replace(COUNTING, name=f"counting-{n}")
    counting_s, first_batch_s = await _fold(log, sealer, counting, directory)
    raw_s.append(seconds(lambda: _raw(log)))
    serving_s, _ = await _fold(log, sealer, _serving(n), directory)
    raw_s.append(seconds(lambda: _raw(log)))
    return _Round(median(raw_s), counting_s, serving_s, first_batch_s)


def _serving(n: int) -> Fold:
    return replace(SERVING, name=f"serving-{n}")


def _entry(sealer: Sealer, n: int, cause: str | None) -> Entry:
    origin = Origin(source="fold/upstream", tenant="bench", time=datetime.now(UTC), cause=cause)
    return sealer.entry(HitCounted(f"key-{n % KEYS}", n), origin, uuid7(n))


def _fill(log: SqliteLog, sealer: Sealer) -> None:
    for start in range(0, EVENTS, 1_000):
        batch = [_entry(sealer, n, f"upstream/0/{n}") for n in range(start, start + 1_000)]
        log.append(batch).result()


def _raw(log: SqliteLog) -> None:
    decoder = CATALOG.decoder(HITS.name)
    counts: dict[str, int] = {}
    offset = 0
    while (records := log.read(HITS.name, 0, offset, BATCH_RECORDS)) is not None:
        for event in decoder.many(records.values):
            key = event.data.key
            counts[key] = counts.get(key, 0) + 1
        offset = records.next_offset
    assert sum(counts.values()) == EVENTS


async def _fold(log: SqliteLog, sealer: Sealer, fold: Fold, directory: Path) -> tuple[float, float]:
    """Seconds from the first batch until all is durable, and from start to the first batch."""
    agent = Agent(fold, SqliteCommitter(log), sealer, 1)
    application = Application(log, CATALOG, [agent], directory / "faust")
    start_s = time.perf_counter()
    await application.start()
    while agent.position(HITS.name, 0) == 0:
        await asyncio.sleep(0)
    first_s = time.perf_counter()
    folded_before = agent.position(HITS.name, 0)
    while _applied(log, agent) < EVENTS:
        await asyncio.sleep(0.005)
    taken_s = time.perf_counter() - first_s
    await application.stop()
    return taken_s * EVENTS / (EVENTS - folded_before), first_s - start_s


def _applied(log: SqliteLog, agent: Agent) -> int:
    return applied_offset(log, agent.fold.name, HITS.name, 0)


async def _paced(log: SqliteLog, sealer: Sealer, directory: Path) -> list[float]:
    """Seconds from append to visible in the view, at a steady 200 events a second."""
    fold = _serving(ROUNDS - 1)  # which has caught up
    agent = Agent(fold, SqliteCommitter(log), sealer, 1)
    application = Application(log, CATALOG, [agent], directory / "faust")
    await application.start()
    views = SqliteViews(log, [fold])
    start_s = time.perf_counter()
    waiting = []
    for n in range(PACED_EVENTS):
        await asyncio.sleep(max(0.0, start_s + n / PACED_PER_S - time.perf_counter()))
        waiting.append(asyncio.create_task(_visible(log, views, _entry(sealer, EVENTS + n, None))))
    latencies_s = await asyncio.gather(*waiting)
    await application.stop()
    return latencies_s[PACED_PER_S:]  # the first second warms up


async def _visible(log: SqliteLog, views: SqliteViews, entry: Entry) -> float:
    start_s = time.perf_counter()
    position: Position = (await asyncio.wrap_future(log.append([entry])))[0]
    await views.wait(Count, position, 10.0)
    return time.perf_counter() - start_s


def _recover() -> float:
    """Seconds to read a table of 1M rows back into memory."""
    rows: list[Any] = []
    table: Table[str, int] = Table("rows", str, int, Cursor(0))
    for n in range(TABLE_ROWS):
        table[f"key-{n}"] = n
    table.accept()
    rows = [(change.key, change.value) for change in table.take()]
    fresh: Table[str, int] = Table("rows", str, int, Cursor(0))
    taken_s = seconds(lambda: fresh.load(rows))
    assert len(fresh) == TABLE_ROWS
    return taken_s
