"""Importing files: with the help of the host of the data directory, or as its host meanwhile."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from connectors.errors import HostLocked
from connectors.gateway.links.keys import LinkKeys
from connectors.lock import lock_file
from connectors.sources.apache_log import decompressed
from connectors.sources.import_log import Imported, LogImport, Target
from sixfold.errors import ImportRunning
from sixfold.gateway import key_space
from sixfold.host import Host
from sixfold.key_range import key_blocks
from sixfold.platform import Platform
from sixfold.settings import Settings

STANDARD_INPUT = Path("-")


async def import_access_log(
    settings: Settings, file: Path, target: Target, progress: Callable[[int], None]
) -> Imported:
    """Import an access log, plain or gzip; `-` is standard input.

    Raises:
        OSError: the file cannot be read.
        ImportRunning: another import is at work in the data directory.
        ConnectorError, StreamError: see `LogImport.run`.
    """
    async with hosted(settings) as platform:
        return await into_platform(platform, file, target, progress)


async def into_platform(
    platform: Platform, file: Path, target: Target, progress: Callable[[int], None]
) -> Imported:
    """Import an access log into a platform that is open and has a host."""
    with _alone(platform.settings.data):
        return await _import(platform, file, target, progress)


async def _import(
    platform: Platform, file: Path, target: Target, progress: Callable[[int], None]
) -> Imported:
    keys = LinkKeys(
        platform.log,
        platform.sealer,
        key_blocks(platform),
        key_space(platform),
        "import",
    )
    job = LogImport(platform.log, platform.sealer, platform.views, keys, target)
    try:
        with _opened(file) as stream:
            return await job.run(decompressed(stream), progress)
    finally:
        await keys.stop()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Be the only import: two of the same file would both find its lines to be new."""
    file = os.open(directory / "import.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not lock_file(file):
            raise ImportRunning(f"another import is at work in {directory}: let it end first")
        yield
    finally:
        os.close(file)


@contextmanager
def _opened(file: Path) -> Iterator[BufferedReader]:
    if file == STANDARD_INPUT:
        yield cast(BufferedReader, sys.stdin.buffer)
    else:
        with file.open("rb") as stream:
            yield stream


@asynccontextmanager
async def hosted(settings: Settings) -> AsyncIterator[Platform]:
    """The platform of a data directory, whose agents run: somebody else's, or in this process."""
    host = Host(settings, with_gateway=False)
    try:
        await host.start()
    except HostLocked:
        with Platform.open(settings) as platform:
            yield platform
    else:
        try:
            yield host.platform
        finally:
            await host.stop()
