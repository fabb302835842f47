"""Dead letters: records that a fold could not apply."""

from schemas.event import Data, event
from schemas.topic import Topic

DEAD = Topic("dead", partitions=1, retention_days=30, archived=False)


@event("record.rejected", topic=DEAD, key="position", internal=True)
class RecordRejected(Data):
    """A fold could not apply a record, and went on without it."""

    position: str  # of the record, topic/partition/offset
    fold: str
    reason: str  # the error, without any value of the record


@event("record.requeued", topic=DEAD, key="position", internal=True)
class RecordRequeued(Data):
    """A rejected record was appended to its topic again, for the fold that had rejected it."""

    position: str  # of the record that was rejected
    fold: str
