"""`sixfold demo`: the whole platform in one process on fresh data, checked against itself.

Links are made and clicked over HTTP, or come from an access log; then the log is archived into the
lake, and what the statistics API counted must be what SQL counts.
"""

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
from rich.progress import MofNCompleteColumn, TimeElapsedColumn

from batch.archive import archive
from batch.engine import Engine
from batch.lake import Lake
from connectors.sources.import_log import Target
from connectors.store.sqlite import applied_offset
from schemas.links import CLICKS
from sixfold.commands.context import console, print_rows, progress_bar
from sixfold.commands.importing import show
from sixfold.errors import SixfoldError
from sixfold.first_start import ADMIN_KEY_FILE
from sixfold.host import Host
from sixfold.importing import into_platform
from sixfold.settings import GatewaySection, LinksSection, Settings, VaultSection
from sixfold.wiring import CATALOG, FOLDS

DIRECTORY = Path("demo-data")
LINKS = 40
CLICKS_MADE = 4_000
COMPARED = 10
_AT_ONCE = 16

_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)
_REFERRERS = ("https://news.example/today", "https://mail.example/inbox", "")
_COUNTRIES = ("DE", "FR", "JP", "BR", "US")

_COUNTS = """
SELECT link AS key, count(*) FILTER (kind = 'human') AS clicks, count(*) FILTER (kind = 'bot') AS bots
FROM counted_clicks GROUP BY link ORDER BY clicks DESC, link
"""


async def demo(access_log: Path | None) -> None:
    """Run the demo.

    Raises:
        SixfoldError: the statistics API and SQL disagree.
    """
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    settings = Settings(
        data=DIRECTORY / "data",
        vault=VaultSection(master_key=str(DIRECTORY / "keys" / "master.key")),
        gateway=GatewaySection(port=0, trusted_proxies=["127.0.0.1"]),
        links=LinksSection(allow_private=True, country_header="CF-IPCountry"),
    )
    host = Host(settings)
    await host.start()
    try:
        await _run(host, settings, access_log)
    finally:
        await host.stop()
    console.print(f"The data are in {settings.data}; go on with them:")
    console.print(
        f"  SIXFOLD_DATA={settings.data} SIXFOLD_VAULT_MASTER_KEY={settings.master_key} \\"
    )
    console.print("    .venv/bin/sixfold sql links/clicks_by_day")


async def _run(host: Host, settings: Settings, access_log: Path | None) -> None:
    assert host.gateway is not None
    key = (settings.data / ADMIN_KEY_FILE).read_text().strip()
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{host.gateway.port}",
        headers={"Authorization": f"Bearer {key}"},
        limits=httpx.Limits(max_connections=_AT_ONCE),
        timeout=30.0,
    ) as client:
        if access_log is None:
            await _over_http(client)
        else:
            target = Target(settings.tenant, "https://www.example")
            with progress_bar(TimeElapsedColumn()) as progress:
                task = progress.add_task(access_log.name, total=None)
                imported = await into_platform(
                    host.platform, access_log, target, lambda n: progress.update(task, advance=n)
                )
            show(imported)
        await _folded(host)
        await _compare(client, host, settings)


async def _over_http(client: httpx.AsyncClient) -> None:
    """Make links, and follow them as a crowd would: some links much more than others."""
    keys = [await _make_link(client, n) for n in range(LINKS)]
    console.print(f"{LINKS} links made; the first is {client.base_url}/{keys[0]}")
    chosen = random.choices(keys, [1 / (n + 1) for n in range(LINKS)], k=CLICKS_MADE)  # noqa: S311
    start_s = time.perf_counter()
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("clicks", total=CLICKS_MADE)
        crowd = iter(chosen)

        async def click() -> None:
            for key in crowd:
                await _click(client, key)
                progress.update(task, advance=1)

        await asyncio.gather(*(click() for _ in range(_AT_ONCE)))
    taken_s = time.perf_counter() - start_s
    console.print(f"{CLICKS_MADE:,} clicks over HTTP in {taken_s:.1f} s")


async def _make_link(client: httpx.AsyncClient, n: int) -> str:
    target = f"http://127.0.0.1:9/pages/{n}"  # the discard port: nothing is there to be fetched
    answer = await client.post("/api/v1/urls", json={"long_url": target, "tags": ["demo"]})
    answer.raise_for_status()
    key: str = answer.json()["key"]
    return key


async def _click(client: httpx.AsyncClient, key: str) -> None:
    headers = {
        "User-Agent": random.choice(_AGENTS),  # noqa: S311
        "Referer": random.choice(_REFERRERS),  # noqa: S311
        "CF-IPCountry": random.choice(_COUNTRIES),  # noqa: S311
        "X-Forwarded-For": f"198.51.100.{random.randrange(1, 255)}",  # noqa: S311
    }
    answer = await client.get(f"/{key}", headers=headers)
    if answer.status_code != httpx.codes.FOUND:
        raise SixfoldError(f"/{key} answers {answer.status_code}, not 302: {answer.text}")


async def _folded(host: Host) -> None:
    """Wait until every click has been appended and counted."""
    log = host.platform.log
    stats = next(fold for fold in FOLDS if fold.name == "links-stats")
    while True:
        version = log.version()
        behind = any(
            applied_offset(log, stats.name, CLICKS.name, partition)
            < log.bounds(CLICKS.name, partition)[1]
            for partition in range(CLICKS.partitions)
        )
        is_quiet = not await log.changed(version, timeout_s=0.5)
        if is_quiet and not behind:
            return


async def _compare(client: httpx.AsyncClient, host: Host, settings: Settings) -> None:
    lake = Lake(settings.lake, CATALOG)
    archived = await asyncio.to_thread(archive, lake, host.platform.log)
    console.print(
        f"{archived.total.rows:,} events archived into the lake in {archived.duration_s:.1f} s"
    )
    with Engine(lake, host.platform.log) as engine:
        counted: list[dict[str, Any]] = engine.sql(_COUNTS).read_all().to_pylist()
    rows = [await _compared(client, row) for row in counted]
    print_rows(rows[:COMPARED], tuple(rows[0]), as_json=False)
    disagreeing = [row for row in rows if row["API"] != row["SQL"]]
    if disagreeing:
        raise SixfoldError(f"the statistics API and SQL disagree: {disagreeing}")
    total = sum(row["clicks"] + row["bots"] for row in counted)
    console.print(f"Statistics API and SQL agree on all {len(rows):,} links, {total:,} clicks.")


async def _compared(client: httpx.AsyncClient, row: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/urls/{row['key']}/stats")
    answer.raise_for_status()
    stats = answer.json()
    return {
        "link": row["key"],
        "API": f"{stats['clicks']} clicks, {stats['bots']} by bots",
        "SQL": f"{row['clicks']} clicks, {row['bots']} by bots",
    }
