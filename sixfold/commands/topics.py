"""`sixfold topics` and `sixfold tail`: what is in the log, and how far agents are."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from connectors.store.sqlite import applied_offset
from sixfold.commands.context import Json, as_json_value, print_json, print_rows, settings_of
from sixfold.platform import Platform
from sixfold.wiring import FOLDS
from streams.log import Position, Records

Show = Callable[[Records], None]


def topics(context: typer.Context, as_json: Json = False) -> None:
    """Show every partition, and how far behind each agent is."""
    with Platform.open(settings_of(context)) as platform:
        print_rows(
            _rows(platform), ("topic", "partition", "first", "next", "agent", "lag"), as_json
        )


def tail(
    context: typer.Context,
    topic: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    records: Annotated[int, typer.Option("--records", "-n", min=0, help="Of each partition.")] = 10,
    as_json: Json = False,
) -> None:
    """Print the newest events of a topic, as the log has them."""
    show = _print_as_json if as_json else _print
    with Platform.open(settings_of(context)) as platform:
        positions = {}
        for partition in range(platform.log.topics().get(topic, 0)):
            first, end = platform.log.bounds(topic, partition)
            positions[partition] = max(first, end - records)
        if not positions:
            known = ", ".join(sorted(platform.log.topics()))
            raise typer.BadParameter(f"there is no topic {topic!r}, but {known}")
        _print_from(platform, topic, positions, show)
        if follow:
            asyncio.run(_follow(platform, topic, positions, show))


def _rows(platform: Platform) -> Iterator[dict[str, Any]]:
    for topic, partitions in sorted(platform.log.topics().items()):
        for partition in range(partitions):
            first, end = platform.log.bounds(topic, partition)
            row = {"topic": topic, "partition": partition, "first": first, "next": end}
            readers = [fold for fold in FOLDS if topic in fold.topics]
            for fold in readers:
                applied = applied_offset(platform.log, fold.name, topic, partition)
                yield row | {"agent": fold.name, "lag": end - applied}
            if not readers:
                yield row | {"agent": "", "lag": ""}


async def _follow(platform: Platform, topic: str, positions: dict[int, int], show: Show) -> None:
    while True:
        version = platform.log.version()
        _print_from(platform, topic, positions, show)
        await platform.log.changed(version, timeout_s=60.0)


def _print_from(platform: Platform, topic: str, positions: dict[int, int], show: Show) -> None:
    """Print what is new, and move the positions on."""
    for partition, position in tuple(positions.items()):
        offset = position
        while (records := platform.log.read(topic, partition, offset, 1_000)) is not None:
            show(records)
            offset = positions[partition] = records.next_offset
    sys.stdout.flush()


def _print(records: Records) -> None:
    for offset, value in zip(records.offsets, records.values, strict=True):
        position = f"{records.topic}/{records.partition}/{offset} "
        sys.stdout.buffer.write(position.encode() + value + b"\n")


def _print_as_json(records: Records) -> None:
    for offset, value in zip(records.offsets, records.values, strict=True):
        position = Position(records.topic, records.partition, offset)
        print_json({"position": str(position), "event": as_json_value(value)})
