"""Imports: how much of a file has been taken in."""

from schemas.event import Data, event
from schemas.topic import Topic

IMPORTS = Topic("imports", partitions=1)


@event("import.advanced", topic=IMPORTS, key="prefix", internal=True)
class ImportAdvanced(Data):
    """The lines of a file up to one of them are in the log; appended together with them.

    A file is known by what is in it: the prefix is the SHA-256 of the import's target and of all
    bytes up to and including that line. So a log that has grown goes on where it was left.
    """

    prefix: str
    lines: int  # in the file so far
    clicks: int  # added since the advance before, as are
    malformed: int
