"""Apache Kafka as one process that is broker and controller (KRaft)."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from connectors.engines.engine import HOST, Engine
from connectors.engines.jars import Jars
from connectors.errors import EngineFailed

_VERSION = "4.3.1"

# One small node: everything that a cluster keeps several copies of has one here. Sessions and the
# search for abandoned transactions are quick, so that a killed process delays nobody for long.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENTS://{host}:{port}
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
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
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=1000
num.network.threads=2
num.io.threads=4
background.threads=2
"""

_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %-5p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Kafka(Engine):
    """A broker for tests and for trying things out; it forgets nothing between two starts."""

    NAME: ClassVar[str] = "kafka"
    JARS: ClassVar[Jars] = Jars(
        f"kafka-{_VERSION}",
        (
            f"org.apache.kafka:kafka_2.13:{_VERSION}",
            "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
        ),
    )

    @property
    def url(self) -> str:
        """The setting `log`."""
        return f"kafka://{HOST}:{self.port}"

    def _prepare(self, java: str, jars: Path, ports: Sequence[int]) -> list[str]:
        data = self.directory / "data"
        properties = self.directory / "server.properties"
        properties.write_text(
            _PROPERTIES.format(host=HOST, port=ports[0], controller_port=ports[1], data=data)
        )
        logging = self.directory / "log4j2.properties"
        logging.write_text(_LOGGING)
        common = [
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={logging.as_uri()}",
            "-cp",
            f"{jars}/*",
        ]
        if not (data / "meta.properties").exists():
            _format(java, common, properties)
        return ["-Xms128m", "-Xmx512m", *common, "kafka.Kafka", str(properties)]


def _format(java: str, common: Sequence[str], properties: Path) -> None:
    tool = [java, "-Xmx128m", *common, "kafka.tools.StorageTool"]
    made = subprocess.run([*tool, "random-uuid"], capture_output=True, text=True, check=False)
    cluster_id = made.stdout.strip().rpartition("\n")[2]
    command = [*tool, "format", "--cluster-id", cluster_id, "--config", str(properties)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode or ran.returncode:
        raise EngineFailed(f"Kafka's directory could not be made:\n{made.stderr}{ran.stderr}")
