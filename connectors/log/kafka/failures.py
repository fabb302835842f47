"""What failures of Kafka mean to those who use the log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException

from connectors.errors import BadLogSettings, Fenced, RecordTooLarge
from streams.errors import LogUnavailable, UnknownTopic

log = structlog.get_logger()

T = TypeVar("T")

_SILENCE_S = 30.0
_noted_s: dict[int, float] = {}  # when an error was last logged, by its code

_UNKNOWN = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}

# While a partition moves from one broker to another, or has just been made.
PASSING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
}

_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}

# What somebody has to mend, elsewhere: whoever appends or reads should try again afterwards.
_TO_MEND = {
    KafkaError._AUTHENTICATION: "check the SASL settings",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check the SASL settings",
    KafkaError._SSL: "check the TLS settings",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "its user needs rights on the topics",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "its user needs rights on the cluster",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "its user needs rights on the consumer groups",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "its user needs rights on transactional ids",
    KafkaError.NOT_ENOUGH_REPLICAS: "too few brokers are up",
}


def explained(error: KafkaError) -> Exception:
    """An error as the log's port promises it."""
    code = error.code()
    if code in _UNKNOWN:
        return UnknownTopic(f"the log has no such topic or partition ({error.str()})")
    if code in _TOO_LARGE:
        return RecordTooLarge(f"a record is larger than Kafka takes ({error.str()})")
    if code in _FENCED:
        return Fenced(
            f"a transaction was ended ({error.name()}): it took too long, or another process has "
            "begun under the same name"
        )
    meaning = _TO_MEND.get(code, "is Kafka up, and is it at this address?")
    return LogUnavailable(f"the log cannot be used now ({error.name()}, {error.str()}): {meaning}")


@contextmanager
def explaining() -> Iterator[None]:
    """Raise errors of Kafka as the log's port promises them."""
    try:
        yield
    except KafkaException as error:
        raise explained(error.args[0]) from error


def made(client: Callable[[dict[str, Any]], T], configuration: dict[str, Any]) -> T:
    """A client.

    Raises:
        BadLogSettings: of this configuration none can be made.
    """
    try:
        return client(configuration)
    except KafkaException as error:
        raise BadLogSettings(f"Kafka's client refuses its settings: {error.args[0].str()}") from (
            error
        )


def noted(error: KafkaError) -> None:
    """Log what librdkafka says besides, now and then: it goes on trying, many times a second."""
    now_s = time.monotonic()
    if now_s - _noted_s.get(error.code(), -_SILENCE_S) >= _SILENCE_S:
        _noted_s[error.code()] = now_s
        log.warning("kafka", error=error.name(), reason=error.str())
