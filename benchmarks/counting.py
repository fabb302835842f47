"""What the benchmark of agents folds: counts per key, with and without a view."""

from schemas.event import Data, event
from schemas.topic import Topic
from streams.views import Partition, View

HITS = Topic("hits", partitions=1)


@event("hit.counted", topic=HITS, key="key")
class HitCounted(Data):
    """Something was hit."""

    key: str
    serial: int


class Count(View):
    """How often each key was hit."""

    key: Partition[str]
    hits: int
