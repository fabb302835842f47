"""Errors of this room."""


class SchemaError(Exception):
    """Base class: an event type, a topic or a record breaks the rules of the catalog."""


class DeclarationError(SchemaError):
    """An event type or topic is declared wrongly; raised when the catalog is built."""


class UnknownEventType(SchemaError):
    """A record's `type` is not in the catalog of its topic."""


class MalformedEvent(SchemaError):
    """A record is not a CloudEvent of its type: bad JSON, a missing or mistyped field."""


class BreakingChange(SchemaError):
    """A published schema was changed in a way that old readers or old records do not survive."""
