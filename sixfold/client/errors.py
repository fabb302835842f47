"""Errors of the producers' client, which imports nothing of the server."""


class ClientError(Exception):
    """Base class."""


class Undelivered(ClientError):
    """Events could not be delivered, and no spill keeps them."""


class Rejected(ClientError):
    """The platform refused an event; sending it again unchanged would be refused again."""

    def __init__(self, id: str, reasons: list[str]) -> None:
        super().__init__(f"event {id} was refused: {'; '.join(reasons)}")
        self.id = id
        self.reasons = reasons


class NotFlushed(ClientError):
    """Events have not been delivered in time; they wait on."""


class DamagedSpill(ClientError):
    """A spill file is not one."""


class SpillInUse(ClientError):
    """Another client has the spill file."""
