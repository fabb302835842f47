"""Whether the log is an older copy of the one that the lake was archived from."""

import structlog

from batch.backlog import refuse_older_copy
from batch.errors import LakeError
from batch.lake import Lake
from sixfold.platform import Platform
from sixfold.wiring import CATALOG

log = structlog.get_logger()


def refuse_unnoted_restore(platform: Platform) -> None:
    """See that the log was not restored without saying so; before anything is appended to it.

    A lake that cannot be read keeps nobody from serving.

    Raises:
        LogRestored: it was.
    """
    try:
        refuse_older_copy(Lake(platform.settings.lake, CATALOG), platform.log)
    except LakeError as error:
        log.warning("the lake cannot be read", error=str(error))
