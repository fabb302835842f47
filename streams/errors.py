"""Errors of this room and of the ports it declares."""


class StreamError(Exception):
    """Base class."""


class LogError(StreamError):
    """The log could not do what was asked."""


class LogUnavailable(LogError):
    """The log cannot be written now (disk full, another host, a failed write): try again later."""


class StoreUnavailable(LogUnavailable):
    """The store of views cannot be used now: try again later."""


class UnknownTopic(LogError):
    """A topic or partition that the log does not have."""


class BadPosition(LogError):
    """A text that is no position, or a position of a topic that the view is not fed by."""


class NotYetApplied(StreamError):
    """A view has not applied a position within the time a reader was ready to wait."""


class FoldError(StreamError):
    """A fold is declared wrongly, or did what a fold may not do."""


class RebuildRefused(StreamError):
    """A fold cannot be rebuilt: the log no longer has all that it would need."""


class RequeueRefused(StreamError):
    """A dead letter cannot be requeued."""


class VaultError(StreamError):
    """The vault could not do what was asked."""


class VaultUnavailable(VaultError):
    """The vault failed; what was asked of it may be asked again."""


class Erased(VaultError):
    """The subject has been erased: what was sealed for it cannot be opened, nor sealed again."""


class Tampered(VaultError):
    """A sealed value does not belong to the event, subject and tenant that it came with."""


class RuleBroken(StreamError):
    """A value that was asked for is against the rules.

    Attributes:
        field: the name of the request's field, or of the setting.
        reason: what is wrong with it, and what to do instead.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class KeysExhausted(StreamError):
    """A region has no counter left to make keys of."""
