"""Vacuum: files that are not part of a table any more, or never were, are removed."""

from datetime import timedelta

from batch.lake import Lake
from batch.lease import maintenance
from batch.progress import OnProgress, Progress, unseen

# Longer than any query or archive runs: who began earlier may still need a file.
KEEP = timedelta(hours=24)


def vacuum(lake: Lake, keep: timedelta = KEEP, on_progress: OnProgress = unseen) -> dict[str, int]:
    """Remove files that nobody reads any more, and those of jobs that were cut short.

    Args:
        keep: what was replaced, or written, since then stays.

    Returns:
        How many files were removed, by topic.

    Raises:
        LakeBusy: another job maintains the lake.
        LakeError: a table cannot be read or written.
    """
    removed = {}
    with maintenance(lake.directory, "vacuum"):
        for done, topic in enumerate(lake.topics, 1):
            removed[topic] = lake.table(topic).vacuum(keep)
            on_progress(Progress(topic, done, len(lake.topics)))
    return removed
