"""What failures of Cassandra mean to those who use the store."""

from collections.abc import Iterator
from contextlib import contextmanager

from cassandra import (
    AuthenticationFailed,
    CoordinationFailure,
    OperationTimedOut,
    Timeout,
    Unauthorized,
    Unavailable,
    UnresolvableContactPoints,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.protocol import (
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
    ServerError,
)

from connectors.errors import BadStoreSettings
from streams.errors import StoreUnavailable

# What of the world outside is to blame, so that it is worth while to try again later.
_MEANINGS: dict[type[Exception], str] = {
    NoHostAvailable: "is Cassandra up, and is it at this address?",
    UnresolvableContactPoints: "no address of it is known: check the hosts' names",
    Unavailable: "too few of its nodes are up for a quorum",
    Timeout: "too few of its nodes answered in time",
    OperationTimedOut: "it did not answer in time",
    CoordinationFailure: "its nodes failed: see their logs",
    ConnectionException: "the connection was lost",
    Unauthorized: "its user needs rights on the keyspace",
    OverloadedErrorMessage: "its nodes are overloaded",
    IsBootstrappingErrorMessage: "its nodes are still starting",
    ServerError: "a node failed: see its log",
}

# What OpenSSL's errors have in them, which the driver wraps into others.
_OF_TLS = "[SSL:"


def explained(error: Exception) -> Exception:
    """An error as the port promises it; one that is nobody's but ours stays what it is."""
    causes = _causes(error)
    for cause in causes:
        wrong = _wrong_settings(cause)
        if wrong:
            return BadStoreSettings(f"Cassandra cannot be connected to ({cause}): {wrong}")
    for kind, meaning in _MEANINGS.items():
        if isinstance(error, kind):
            said = "; ".join(map(_said, causes))
            return StoreUnavailable(f"the store cannot be used now ({said}): {meaning}")
    return error


@contextmanager
def explaining() -> Iterator[None]:
    """Raise errors of the driver as the port promises them."""
    try:
        yield
    except Exception as error:
        meant = explained(error)
        if meant is error:
            raise
        raise meant from error


def _causes(error: Exception) -> list[Exception]:
    """What went wrong at each node, if it was asked of several."""
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict):
        return list(error.errors.values()) or [error]
    return [error]


def _wrong_settings(error: Exception) -> str | None:
    """What to look at if it is a setting that is to blame."""
    if isinstance(error, AuthenticationFailed):
        return "check store.user and store.password_file"
    return "check the TLS settings of the store" if _OF_TLS in str(error) else None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
