"""The most clicked links are in memory before a gateway is ready, and loading them holds up nobody."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from redirecting import CountingStore, Gateway, Platform, eventually, platform_in
from serving import Loop

from connectors.gateway.links.settings import LinkSettings
from schemas.links import LinkClicked
from streams.links.views import Link, Popular

LINKS = 30


class SlowStore(CountingStore):
    """Views of which one link is found only when it is told to be."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.may_go_on = threading.Event()

    async def get(self, view: Any, tenant: str, key: Any) -> Any:
        while view is Link and key == ("popular7",) and not self.may_go_on.is_set():
            await asyncio.sleep(0.002)
        return await super().get(view, tenant, key)


@contextmanager
def starting(platform: Platform) -> Iterator[tuple[Gateway, SlowStore, threading.Thread]]:
    """A gateway that listens, and is not ready before its store is told to go on."""
    loop = Loop()
    gateway = Gateway(platform, loop, "warming")
    gateway.store = store = SlowStore(gateway.store)
    start = threading.Thread(target=loop.run, args=[gateway.start(LinkSettings())])
    start.start()
    try:
        eventually(lambda: hasattr(gateway, "port"))
        yield gateway, store, start
    finally:
        store.may_go_on.set()
        start.join()
        loop.run(gateway.stop())
        loop.close()
        gateway.passwords.close()
        gateway.spill.close()
        gateway.log.close()


def popular(platform: Platform) -> set[str]:
    rows = [platform.loop.run(platform.store.get(Popular, "", (p,))) for p in range(4)]
    return {key for row in rows if row is not None for key in row.links}


def test_a_gateway_answers_while_it_loads_them_and_is_ready_when_it_has(tmp_path: Path) -> None:
    with platform_in(tmp_path) as platform:
        paths = [platform.make(f"popular{n}") for n in range(LINKS)]
        cold = platform.make("nobody-clicks")
        platform.append(*[LinkClicked(f"popular{n}", "v") for n in range(LINKS)])
        eventually(lambda: len(popular(platform)) == LINKS)
        with starting(platform) as (gateway, store, start):
            ready = f"http://127.0.0.1:{gateway.port}/health/ready"
            not_yet = eventually(lambda: "most clicked" in (a := httpx.get(ready)).text and a)
            assert not_yet.status_code == 503
            assert gateway.get(cold).status == 302
            store.may_go_on.set()
            start.join()
            assert httpx.get(ready).status_code == 200
            assert {f"popular{n}" for n in range(LINKS)} <= set(store.lookups)
            lookups = len(store.lookups)
            assert {gateway.get(path).status for path in paths} == {302}
            assert len(store.lookups) == lookups
