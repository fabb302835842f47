"""Apache Cassandra as one node."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from connectors.engines.engine import HOST, Engine
from connectors.engines.jars import Jars

_VERSION = "5.0.8"

# One small node. What is acknowledged is on disk (`batch`): with `periodic` a killed node loses rows.
_YAML = """\
cluster_name: sixfold
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: {host}
rpc_address: {host}
storage_port: {storage_port}
native_transport_port: {port}
start_native_transport: true
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "{host}:{storage_port}"}}]
data_file_directories: [{data}/tables]
commitlog_directory: {data}/commitlog
saved_caches_directory: {data}/caches
hints_directory: {data}/hints
cdc_raw_directory: {data}/cdc
commitlog_sync: batch
commitlog_segment_size: 8MiB
commitlog_total_space: 128MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
key_cache_size: 8MiB
counter_cache_size: 0MiB
row_cache_size: 0MiB
concurrent_reads: 8
concurrent_writes: 16
concurrent_compactors: 1
compaction_throughput: 0MiB/s
auto_snapshot: false
read_request_timeout: 10000ms
range_request_timeout: 20000ms
write_request_timeout: 10000ms
"""

_LOGGING = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"""

# Parts of the JDK that Cassandra and its libraries reach into, which Java closes by default.
_EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.attach/sun.tools.attach",
    "jdk.unsupported/sun.misc",
)
_OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
)


class Cassandra(Engine):
    """A node for tests and for trying things out; it forgets nothing between two starts."""

    NAME: ClassVar[str] = "cassandra"
    JARS: ClassVar[Jars] = Jars(
        f"cassandra-{_VERSION}", (f"org.apache.cassandra:cassandra-all:{_VERSION}",)
    )

    @property
    def url(self) -> str:
        """The setting `store`."""
        return f"cassandra://{HOST}:{self.port}"

    def _prepare(self, java: str, jars: Path, ports: Sequence[int]) -> list[str]:
        data = self.directory / "data"
        yaml = self.directory / "cassandra.yaml"
        yaml.write_text(_YAML.format(host=HOST, port=ports[0], storage_port=ports[1], data=data))
        logging = self.directory / "logback.xml"
        logging.write_text(_LOGGING)
        (agent,) = jars.glob("jamm-*.jar")
        properties = {
            "cassandra.config": yaml.as_uri(),
            "cassandra.storagedir": data,
            "cassandra.logdir": self.directory,
            "logback.configurationFile": logging,
            "cassandra-foreground": "yes",
            # A single node waits for no others, neither at its start nor at its end.
            "cassandra.initial_token": 0,
            "cassandra.ring_delay_ms": 0,
            "cassandra.skip_wait_for_gossip_to_settle": 0,
            "cassandra.superuser_setup_delay_ms": 0,
            "cassandra.shutdown_announce_in_ms": 0,
            "java.io.tmpdir": self.directory,
            "java.awt.headless": "true",
            "jdk.attach.allowAttachSelf": "true",
            "io.netty.tryReflectionSetAccessible": "true",
        }
        return [
            "-Xms256m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:MaxDirectMemorySize=256m",
            "-XX:+ExitOnOutOfMemoryError",
            *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTS),
            *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENS),
            f"-javaagent:{agent}",
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp",
            f"{jars}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]
