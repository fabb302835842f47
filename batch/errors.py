"""Errors of this room."""


class BatchError(Exception):
    """Base class."""


class ColumnConflict(BatchError):
    """A field of an event type has no place in its topic's table."""


class LakeError(BatchError):
    """A table could not be read or written (a full disk, say); what was archived before stays."""


class Overtaken(LakeError):
    """Somebody else committed to the table first: nothing was written, open it again."""


class LakeBusy(BatchError):
    """Another job maintains the lake; of those there is one at a time."""


class LogRestored(BatchError):
    """The log is an older copy of the one that the lake was archived from."""


class QueryError(BatchError):
    """A query is wrong, is not one SELECT, or failed while it ran."""


class UnknownQuery(BatchError):
    """There is no query of that name."""


class UnknownTable(BatchError):
    """There is no table or view of that name."""


class OutputError(BatchError):
    """A result does not fit into the format that was asked for."""
