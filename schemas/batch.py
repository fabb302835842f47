"""Batch jobs: each run leaves a record of itself, whether it did its work or not."""

from schemas.event import Data, event
from schemas.topic import Topic

BATCH = Topic("batch", partitions=1)


@event("batch.ran", topic=BATCH, key="job", internal=True)
class BatchRan(Data):
    """A job was run, and ended."""

    job: str
    status: str  # done, or failed
    duration_ms: int
    counts: dict[str, int] = {}  # what it did, by the job's own names; of archive, rows by topic
    error: str | None = None  # the kind of error; its text, which may hold values, is not kept
