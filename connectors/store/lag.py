"""Lag: how many records folds have not applied yet."""

from collections.abc import Iterable

from connectors.log.failures import explaining
from connectors.log.sqlite import SqliteLog
from streams.fold import Fold


def lags(log: SqliteLog, folds: Iterable[Fold]) -> dict[tuple[str, str], int]:
    """By fold and topic, how many records the generation that readers see has not applied.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    with explaining():
        rows = log.reader().execute(
            "SELECT g.fold, a.topic, a.partition, a.next FROM generation g "
            "JOIN applied a ON a.generation = g.number WHERE g.active = 1"
        )
        applied = {(fold, topic, partition): next_ for fold, topic, partition, next_ in rows}
    partitions = log.topics()
    found: dict[tuple[str, str], int] = {}
    for fold in folds:
        for topic in fold.topics:
            lag = 0
            for partition in range(partitions.get(topic, 0)):
                first, end = log.bounds(topic, partition)
                lag += end - max(first, applied.get((fold.name, topic, partition), 0))
            found[fold.name, topic] = lag
    return found
