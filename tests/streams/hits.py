"""What the tests of the runtime count: hits, and every third of them."""

from schemas.event import Data, event
from schemas.topic import Topic
from streams.views import Partition, View

HITS = Topic("hits", partitions=1, deduplicated=True)
THIRDS = Topic("thirds", partitions=1)

# Hits that cannot be folded: the fold raises; the sum cannot be stored.
POISON = 13
HUGE = 1 << 70


@event("hit.counted", topic=HITS, key="key")
class HitCounted(Data):
    """Something was hit."""

    key: str
    n: int = 1


@event("third.reached", topic=THIRDS, key="key", internal=True)
class ThirdReached(Data):
    """A key was hit three times more."""

    key: str
    hits: int


class Hits(View):
    """Hits by key."""

    key: Partition[str]
    hits: int
    total: int


class Thirds(View):
    """Thirds by key."""

    key: Partition[str]
    thirds: int
