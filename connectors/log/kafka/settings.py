"""How to reach a Kafka cluster, and how topics are named in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.errors import BadLogSettings
from connectors.log.kafka.failures import noted

_SCHEME = "kafka://"
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,100}")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """A cluster.

    Attributes:
        servers: some of its brokers: HOST:PORT,HOST:PORT.
        prefix: of the names of all topics, so that several installations can share the cluster.
        replication: how many copies of a topic there are; the brokers' default if None.
        timeout_s: how long Kafka may take to answer before the log counts as unavailable.
        options: of librdkafka, as they are: `security.protocol`, `ssl.ca.location`,
            `sasl.mechanisms`, `sasl.username`, `sasl.password` and so on.
    """

    servers: str
    prefix: str = ""
    replication: int | None = None
    timeout_s: float = 5.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise BadLogSettings(
                f"{self.prefix!r} cannot be the prefix of topics: letters, digits, '.', '_' and '-'"
            )

    @classmethod
    def of_url(cls, url: str, **others: Any) -> "KafkaSettings":
        """Of kafka://HOST:PORT,HOST:PORT.

        Raises:
            BadLogSettings: that is none, or the other settings are wrong.
        """
        servers = url.removeprefix(_SCHEME).rstrip("/")
        if not url.startswith(_SCHEME) or not servers:
            raise BadLogSettings(f"{url!r} is no address of Kafka: kafka://HOST:PORT,HOST:PORT")
        return cls(servers, **others)

    def client(self, **own: Any) -> dict[str, Any]:
        """The configuration of a client; what Sixfold relies on wins over the options."""
        return {
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 0,  # what matters comes to error_cb as well, and is logged there
            "error_cb": noted,
            **self.options,
            "bootstrap.servers": self.servers,
            **{name.replace("_", "."): value for name, value in own.items()},
        }
