"""`sixfold up` and `sixfold gateway`: processes that serve until they are told to stop."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from sixfold.commands.context import console, settings_of
from sixfold.commands.importing import size_of
from sixfold.demo import demo as run_demo
from sixfold.first_start import ADMIN_KEY_FILE
from sixfold.gateway import Gateway
from sixfold.host import Host
from sixfold.logging import configure
from sixfold.older_copy import refuse_unnoted_restore
from sixfold.platform import Platform
from sixfold.settings import Settings


def up(context: typer.Context) -> None:
    """Run the platform: log, agents and gateway in this process."""
    _serve(_up, settings_of(context))


def gateway(context: typer.Context) -> None:
    """Run another gateway on the same port, beside the host of the data directory."""
    _serve(_gateway, settings_of(context))


def demo(
    context: typer.Context,
    access_log: Annotated[
        Path | None, typer.Option(help="Take links and clicks from a real access log.")
    ] = None,
) -> None:
    """Run everything once on fresh data, and check it against itself."""
    if access_log is not None:
        size_of(access_log)  # raises, before the data of the last demo are gone
    configure(logging.WARNING)
    uvloop.run(run_demo(access_log))


async def _up(settings: Settings, stopping: asyncio.Event) -> None:
    host = Host(settings)
    await host.start()
    assert host.gateway is not None
    console.print(f"Sixfold is up: http://{settings.gateway.host}:{host.gateway.port}")
    console.print(f"  API docs   http://{settings.gateway.host}:{host.gateway.port}/docs")
    console.print(f"  admin key  {settings.data / ADMIN_KEY_FILE}")
    console.print(f"  master key {settings.master_key} (back it up: `sixfold doctor`)")
    await host.run(stopping)


async def _gateway(settings: Settings, stopping: asyncio.Event) -> None:
    with Platform.open(settings) as platform:
        refuse_unnoted_restore(platform)
        serving = Gateway(platform)
        await serving.start()
        console.print(f"Gateway: http://{settings.gateway.host}:{serving.port}")
        try:
            await stopping.wait()
        finally:
            await serving.stop()


def _serve(serve: Callable[[Settings, asyncio.Event], Awaitable[None]], settings: Settings) -> None:
    configure()

    async def main() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_ in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_, stopping.set)
        await serve(settings, stopping)

    uvloop.run(main())
