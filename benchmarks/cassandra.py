"""View rows written to Cassandra beside the driver's bare `execute_concurrent` of the same rows."""

from contextlib import closing
from pathlib import Path

from cassandra.cluster import Cluster
from cassandra.concurrent import execute_concurrent_with_args

from benchmarks import serving_fold
from benchmarks.counting import Count
from benchmarks.figures import compared
from connectors.engines.cassandra import Cassandra
from connectors.engines.jars import default_cache
from connectors.store.cassandra.generations import CassandraGenerations
from connectors.store.cassandra.rows import CassandraRows
from connectors.store.cassandra.schema import connect
from connectors.store.cassandra.session import AT_ONCE
from connectors.store.cassandra.settings import CassandraSettings
from streams.commit import Commit
from streams.fold import Fold

ROUNDS = 7
ROWS = 5_000
TENANT = "main"

_BARE = "CREATE TABLE sixfold.bare (tenant text, key text, value blob, PRIMARY KEY ((tenant, key)))"
_INSERT = "INSERT INTO sixfold.bare (tenant, key, value) VALUES (?, ?, ?) USING TIMESTAMP ?"


def run(directory: Path) -> dict[str, float]:
    """Upsert 5,000 rows, in commits of 1,000, at a quorum of one node that syncs every write."""
    engine = Cassandra(directory / "cassandra", default_cache())
    engine.start()
    try:
        return _measured(engine)
    finally:
        engine.stop()


def _measured(engine: Cassandra) -> dict[str, float]:
    settings = CassandraSettings.of_url(engine.url)
    bare_cluster = Cluster([*settings.hosts], port=engine.port)
    with closing(connect(settings)) as session, bare_cluster:
        fold = Fold.of(serving_fold)
        generation = CassandraGenerations(session, "benchmark").prepare(fold).active
        rows = CassandraRows(session)

        def put(n: int) -> None:
            for start in range(0, ROWS, 1_000):
                counts = [Count(f"key-{i}", n) for i in range(start, start + 1_000)]
                changed = {(TENANT, (count.key,)): count for count in counts}
                rows.put([Commit(generation, 0, {"hits": n + 1}, rows={Count: changed})])

        bare = bare_cluster.connect()
        bare.execute(_BARE)
        insert = bare.prepare(_INSERT)

        def put_bare(n: int) -> None:
            for start in range(0, ROWS, 1_000):
                keys = [f"key-{i}" for i in range(start, start + 1_000)]
                parameters = [(TENANT, key, b"\x91\xcd\x03\xe8", n + 1) for key in keys]
                execute_concurrent_with_args(bare, insert, parameters, AT_ONCE)

        put(0)
        put_bare(0)  # both have warmed up
        put_s, bare_s, ratio = compared(put, put_bare, ROUNDS)
    return {"put_vs_bare": ratio, "put_per_s": ROWS / put_s, "bare_per_s": ROWS / bare_s}
