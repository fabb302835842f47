"""Control: what operators ask the host of a running platform to do."""

from schemas.event import Data, event
from schemas.topic import Topic

CONTROL = Topic("control", partitions=1)


@event("views.rebuild_requested", topic=CONTROL, key="fold", internal=True)
class RebuildRequested(Data):
    """The state and views of a fold are to be built anew from the log."""

    fold: str
