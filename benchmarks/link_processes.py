"""The processes of the benchmark of links; each runs on one core and ends at SIGTERM."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from benchmarks import bare_server
from sixfold.gateway import Gateway
from sixfold.host import Host
from sixfold.platform import Platform
from sixfold.settings import Settings

_STOP_TIMEOUT_S = 20.0


@contextmanager
def process(
    work: Callable[..., Coroutine[Any, Any, None]], core: int, *given: Any
) -> Iterator[None]:
    """Run a coroutine in a process of its own.

    Raises:
        RuntimeError: it failed, or did not end in time.
    """
    started = multiprocessing.get_context("spawn").Process(
        target=_main, args=(work, core, *given), daemon=True
    )
    started.start()
    try:
        yield
    finally:
        started.terminate()
        started.join(_STOP_TIMEOUT_S)
        if started.exitcode is None:
            started.kill()
    if started.exitcode != 0:
        raise RuntimeError(f"{work.__name__} ended with {started.exitcode}; see its output above")


def _main(work: Callable[..., Coroutine[Any, Any, None]], core: int, *given: Any) -> None:
    os.sched_setaffinity(0, {core})
    uvloop.run(_until_terminated(work(*given)))


async def _until_terminated(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


async def host(settings: Settings) -> None:
    """The agents."""
    running = Host(settings, with_gateway=False)
    await running.start()
    try:
        await asyncio.Event().wait()
    finally:
        await running.stop()


async def gateway(settings: Settings) -> None:
    """A gateway beside the host."""
    with Platform.open(settings) as platform:
        running = Gateway(platform)
        await running.start()
        try:
            await asyncio.Event().wait()
        finally:
            await running.stop()


async def bare(port: int) -> None:
    """The bare server."""
    await bare_server.serve(port)
