"""Transactions: records of several partitions that are appended together or not at all."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.log.gather import Where
from connectors.log.kafka.failures import explained, made
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.topics import MAX_RECORD_BYTES
from streams.errors import LogUnavailable

# A process that dies within a transaction holds readers up for as long, unless one with the same
# name takes its place.
_TRANSACTION_MS = 10_000

# How long one try to end a transaction may take.
_END_S = 1.0

Columns = Mapping[Where, tuple[Sequence[bytes | None], Sequence[bytes | None]]]
"""Keys and values, by partition."""

BeforeCommit = Callable[[Producer], None]


def _nothing(producer: Producer) -> None:
    """Nothing belongs to the transaction but its records."""


class Transactions:
    """One transaction after the other, under one name; for one thread.

    The name is Kafka's transactional id: who begins under it ends what was left open under it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        name: str,
        topic_name: Callable[[str], str],
        in_doubt: Callable[[], bool],
    ) -> None:
        """Nothing is connected yet.

        Args:
            in_doubt: called again and again while it is not known whether a transaction was
                committed; what it returns says whether to go on asking.

        Raises:
            BadLogSettings: no producer can be made of them.
        """
        self._timeout_s = settings.timeout_s
        self._topic_name = topic_name
        self._in_doubt = in_doubt
        self._configuration = settings.client(
            transactional_id=settings.prefix + name,
            transaction_timeout_ms=_TRANSACTION_MS,
            message_timeout_ms=int(settings.timeout_s * 1000),
            message_max_bytes=MAX_RECORD_BYTES + (32 << 10),
            queue_buffering_max_messages=0,  # as many as a transaction has
            linger_ms=0,
            # While the coordinator still writes the last transaction's end, asking again pays.
            retry_backoff_ms=2,
            retry_backoff_max_ms=20,
        )
        self._producer = made(Producer, self._configuration)
        self._is_ready = False

    def append(
        self, columns: Columns, before_commit: BeforeCommit = _nothing
    ) -> Mapping[Where, Sequence[int]]:
        """Append records; the offsets of all of them.

        Args:
            before_commit: called when they have been appended, and not been committed yet; if it
                raises LogUnavailable, they are not.

        Raises:
            Fenced: nothing was appended.
            LogUnavailable: nothing was appended.
            UnknownTopic: nothing was, since there is no such topic or partition.
        """
        try:
            self._get_ready()
            delivered = self._produce(columns)
            before_commit(self._producer)
        except KafkaException as error:
            self._start_over()
            raise explained(error.args[0]) from error
        except LogUnavailable:
            self._start_over()
            raise
        except BufferError as error:
            self._start_over()
            raise LogUnavailable("more is waiting to be appended than fits into memory") from error
        self._commit()
        return delivered

    def close(self) -> None:
        """Drop what is under way."""
        with suppress(KafkaException):
            self._producer.purge()
            self._producer.flush(0)

    def _get_ready(self) -> None:
        if not self._is_ready:
            self._producer.init_transactions(self._timeout_s)
            self._is_ready = True

    def _produce(self, columns: Columns) -> Mapping[Where, Sequence[int]]:
        delivered: dict[Where, list[int]] = {where: [] for where in columns}
        failures: list[KafkaError] = []
        self._producer.begin_transaction()
        for where, (keys, values) in columns.items():
            self._produce_some(where, keys, values, _noting(delivered[where], failures))
        waiting = self._producer.flush(self._timeout_s + _END_S)
        if failures:
            raise KafkaException(failures[0])
        if waiting:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return delivered

    def _produce_some(
        self,
        where: Where,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        on_delivery: Callable[[KafkaError | None, Any], None],
    ) -> None:
        topic, partition = where
        messages = [{"key": k, "value": v} for k, v in zip(keys, values, strict=True)]
        queued = self._producer.produce_batch(
            self._topic_name(topic), messages, partition=partition, on_delivery=on_delivery
        )
        if queued < len(messages):
            refused = next(m["_error"] for m in messages if "_error" in m)
            raise KafkaException(refused)

    def _commit(self) -> None:
        """Commit, however long it takes to learn whether that has happened.

        Raises:
            LogUnavailable: nothing was appended.
        """
        while True:
            try:
                self._producer.commit_transaction(_END_S)
            except KafkaException as error:
                failure: KafkaError = error.args[0]
                if failure.retriable() and self._in_doubt():
                    continue
                self._start_over()
                if failure.retriable():
                    raise LogUnavailable(
                        "the log does not answer, so that it is not known what was appended"
                    ) from error
                raise explained(failure) from error
            else:
                return

    def _start_over(self) -> None:
        """End a transaction that failed, and go on with another producer.

        If it cannot be ended now, the next one to begin ends it. This producer is given up, since
        the next transaction can lose records of its own to the end of this one.
        """
        with suppress(KafkaException):
            self._producer.abort_transaction(_END_S)
        self.close()
        self._producer = made(Producer, self._configuration)
        self._is_ready = False


def _noting(
    offsets: list[int], failures: list[KafkaError]
) -> Callable[[KafkaError | None, Any], None]:
    def delivered(error: KafkaError | None, message: Any) -> None:
        if error is None:
            offsets.append(message.offset())
        else:
            failures.append(error)

    return delivered
