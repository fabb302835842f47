"""Apache Kafka: a broker, and the controller that knows the cluster's metadata (KRaft).

Two processes, so that a killed broker finds a controller that has noticed. One process that is both
believes after its restart that it still leads everything, begins to end the transactions that it
died in, and then, being fenced for a moment, takes their partitions for deleted ones: readers of
committed records wait for ever at such a place (seen with 4.3.1).
"""

import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from connectors.engines.engine import HOST, Engine
from connectors.engines.jars import Jars
from connectors.errors import EngineFailed

_VERSION = "4.3.1"

_COMMON = """\
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
"""

_CONTROLLER = (
    _COMMON
    + """\
process.roles=controller
node.id=1
listeners=CONTROLLER://{host}:{port}
broker.session.timeout.ms=2000
"""
)

# One small node: everything that a cluster keeps several copies of has one here. Sessions and the
# search for abandoned transactions are quick, so that a killed process delays nobody for long.
_BROKER = (
    _COMMON
    + """\
process.roles=broker
node.id=2
listeners=CLIENTS://{host}:{port}
advertised.listeners=CLIENTS://{host}:{port}
inter.broker.listener.name=CLIENTS
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.heartbeat.interval.ms=400
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=1000
num.network.threads=2
num.io.threads=4
background.threads=2
"""
)

_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %-5p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


_JARS = Jars(
    f"kafka-{_VERSION}",
    (
        f"org.apache.kafka:kafka_2.13:{_VERSION}",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
    ),
)


class Kafka(Engine):
    """A broker for tests and for trying things out; it forgets nothing between two starts.

    Killing or pausing it leaves its controller alone; stopping it stops both.
    """

    NAME: ClassVar[str] = "kafka"
    JARS: ClassVar[Jars] = _JARS

    def __init__(self, directory: Path, cache: Path) -> None:
        super().__init__(directory, cache)
        self._controller = _Controller(self.directory / "controller", cache)

    @property
    def url(self) -> str:
        """The setting `log`."""
        return f"kafka://{HOST}:{self.port}"

    def start(self) -> None:
        """Start both and wait until they answer; see `Engine`."""
        self._controller.start()
        super().start()

    def stop(self) -> None:
        """Let both finish what they do, and end."""
        super().stop()
        self._controller.stop()

    def _prepare(self, java: str, jars: Path, ports: Sequence[int]) -> list[str]:
        settings = _BROKER.format(
            host=HOST,
            port=ports[0],
            controller_port=self._controller.port,
            data=self.directory / "data",
        )
        return _prepared(self, java, jars, settings, self._controller.cluster_id)


class _Controller(Engine):
    NAME: ClassVar[str] = "kafka-controller"
    JARS: ClassVar[Jars] = _JARS

    @property
    def url(self) -> str:
        """Where it listens, for brokers only."""
        return f"{HOST}:{self.port}"

    @property
    def cluster_id(self) -> str:
        """The id of the cluster, once it has been made."""
        noted = (self.directory / "data" / "meta.properties").read_text()
        return next(
            line.removeprefix("cluster.id=")
            for line in noted.splitlines()
            if line.startswith("cluster.id=")
        )

    def _prepare(self, java: str, jars: Path, ports: Sequence[int]) -> list[str]:
        settings = _CONTROLLER.format(
            host=HOST, port=ports[0], controller_port=ports[0], data=self.directory / "data"
        )
        cluster_id = urlsafe_b64encode(b"six" + uuid4().bytes[3:]).decode().rstrip("=")
        return _prepared(self, java, jars, settings, cluster_id)


def _prepared(engine: Engine, java: str, jars: Path, settings: str, cluster_id: str) -> list[str]:
    """Write what a node reads at its start; the arguments of `java` that start it."""
    properties = engine.directory / "server.properties"
    properties.write_text(settings)
    logging = engine.directory / "log4j2.properties"
    logging.write_text(_LOGGING)
    common = [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={logging.as_uri()}",
        "-cp",
        f"{jars}/*",
    ]
    if not (engine.directory / "data" / "meta.properties").exists():
        tool = [java, "-Xmx128m", *common, "kafka.tools.StorageTool", "format"]
        command = [*tool, "--cluster-id", cluster_id, "--config", str(properties)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise EngineFailed(f"Kafka's directory could not be made:\n{ran.stdout}{ran.stderr}")
    return ["-Xms128m", "-Xmx512m", *common, "kafka.Kafka", str(properties)]
