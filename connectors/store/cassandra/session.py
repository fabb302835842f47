"""A connection to Cassandra: for workers, which may wait for it, and for event loops, which may not."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, ResponseFuture
from cassandra.concurrent import execute_concurrent
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BoundStatement, PreparedStatement, tuple_factory

from connectors.store.cassandra.failures import explaining
from connectors.store.cassandra.settings import CassandraSettings

Row = tuple[Any, ...]

_READS = "reads"
_SPECULATIONS = 2

# How many writes are under way at once: enough to keep a few nodes busy, and no queue in any.
AT_ONCE = 128

_PAGE_ROWS = 5_000

# A node that was away is tried again soon: commits wait for it.
_FIRST_RECONNECT_S, _LAST_RECONNECT_S = 0.25, 5.0

# A node that does not answer any more is given up after both.
_HEARTBEAT_S = 5


class Session:
    """One cluster and keyspace; for any thread.

    Statements are prepared when they are first used, and sent to a node that has their rows. In
    them, `keyspace.` before the name of a table stands for the session's.
    """

    def __init__(self, settings: CassandraSettings) -> None:
        """Connect.

        Raises:
            BadStoreSettings: user, password or TLS are not the cluster's.
            StoreUnavailable: it does not answer.
        """
        self.keyspace = settings.keyspace
        self._prepared: dict[str, PreparedStatement] = {}
        self._cluster = _cluster(settings)
        try:
            with explaining():
                self._session = self._cluster.connect()
                self._make_keyspace(settings)
        except BaseException:
            self._cluster.shutdown()
            raise

    def close(self) -> None:
        """Disconnect; what is asked from now on fails."""
        self._cluster.shutdown()

    @property
    def tables(self) -> frozenset[str]:
        """The names of the keyspace's tables, as far as this process has heard."""
        keyspace = self._cluster.metadata.keyspaces.get(self.keyspace)
        return frozenset(keyspace.tables if keyspace else ())

    def change(self, cql: str) -> None:
        """Change the schema.

        Raises:
            StoreUnavailable: it may have been changed or not.
        """
        with explaining():
            self._session.execute(self._qualified(cql))

    def execute(self, cql: str, *parameters: Any) -> Sequence[Row]:
        """Do one thing, and wait for it.

        Raises:
            StoreUnavailable: it may have been done or not.
        """
        with explaining():
            return list(self._session.execute(self._statement(cql), parameters))

    def execute_all(self, todo: Iterable[tuple[str, Row]]) -> None:
        """Do many things, many of them at once and in no order, and wait for all of them.

        Raises:
            StoreUnavailable: some may have been done.
        """
        with explaining():
            # A list: what the driver takes from an iterator it takes on the thread that reads from
            # the cluster, which must not wait there for a statement to be prepared.
            statements = [(self._statement(cql), parameters) for cql, parameters in todo]
            execute_concurrent(self._session, statements, AT_ONCE)

    async def rows(self, cql: str, parameters: Row) -> list[Row]:
        """All rows of a query.

        Raises:
            StoreUnavailable: it cannot be asked now.
        """
        pages = await self.pages(cql, parameters)
        rows = await pages.next()
        while pages.more:
            rows += await pages.next()
        return rows

    async def pages(self, cql: str, parameters: Row, rows: int = _PAGE_ROWS) -> "Pages":
        """A query whose rows come page by page, so many in each; it has not been asked yet.

        Raises:
            StoreUnavailable: the statement cannot be prepared now.
        """
        if cql not in self._prepared:
            with explaining():
                await asyncio.to_thread(self._statement, cql)
        bound: BoundStatement = self._prepared[cql].bind(parameters)
        bound.is_idempotent = True
        bound.fetch_size = rows
        return Pages(lambda: self._session.execute_async(bound, execution_profile=_READS))

    def _statement(self, cql: str) -> PreparedStatement:
        statement = self._prepared.get(cql)
        if statement is None:
            statement = self._prepared[cql] = self._session.prepare(self._qualified(cql))
        return statement

    def _qualified(self, cql: str) -> str:
        return cql.replace("keyspace.", f"{self.keyspace}.")

    def _make_keyspace(self, settings: CassandraSettings) -> None:
        """Make the keyspace if it is missing; who may not make one is given one that is there."""
        if settings.keyspace not in self._cluster.metadata.keyspaces:
            hosts = self._cluster.metadata.all_hosts()
            here = settings.datacenter or hosts[0].datacenter
            nodes = sum(host.datacenter == here for host in hosts)
            copies = settings.copies or min(3, nodes)
            self._session.execute(
                f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication = "
                f"{{'class': 'NetworkTopologyStrategy', '{here}': {copies}}}"
            )


class Pages:
    """The rows of a query, for one task of an event loop.

    Attributes:
        more: whether there may be another page.
    """

    def __init__(self, ask: Callable[[], ResponseFuture]) -> None:
        self.more = True
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._response: ResponseFuture | None = None
        self._page: asyncio.Future[list[Row]] = self._loop.create_future()

    async def next(self) -> list[Row]:
        """The next page.

        Raises:
            StoreUnavailable: it cannot be had now.
        """
        self._page = self._loop.create_future()
        with explaining():
            if self._response is None:
                self._response = self._ask()
                self._response.add_callbacks(self._got, self._failed)
            else:
                self._response.start_fetching_next_page()
            rows = await self._page
        self.more = self._response.has_more_pages
        return rows

    # Called on the driver's thread.

    def _got(self, rows: Iterable[Row] | None) -> None:
        self._tell(self._set, list(rows or ()))

    def _failed(self, error: Exception) -> None:
        self._tell(self._fail, error)

    def _tell(self, what: Any, value: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            self._loop.call_soon_threadsafe(what, self._page, value)

    @staticmethod
    def _set(page: "asyncio.Future[list[Row]]", rows: list[Row]) -> None:
        if not page.done():
            page.set_result(rows)

    @staticmethod
    def _fail(page: "asyncio.Future[list[Row]]", error: Exception) -> None:
        if not page.done():
            page.set_exception(error)


def _cluster(settings: CassandraSettings) -> Cluster:
    login = PlainTextAuthProvider(settings.user, settings.password) if settings.user else None
    profile = {
        "load_balancing_policy": TokenAwarePolicy(DCAwareRoundRobinPolicy(settings.datacenter)),
        "consistency_level": ConsistencyLevel.LOCAL_QUORUM,
        "serial_consistency_level": ConsistencyLevel.LOCAL_SERIAL,
        "request_timeout": settings.timeout_s,
        "row_factory": tuple_factory,
    }
    speculating = ConstantSpeculativeExecutionPolicy(settings.speculate_s, _SPECULATIONS)
    return Cluster(
        [*settings.hosts],
        port=settings.hosts[0][1],
        auth_provider=login,
        ssl_context=settings.tls and settings.tls.context(),
        connect_timeout=settings.timeout_s,
        control_connection_timeout=settings.timeout_s,
        reconnection_policy=ExponentialReconnectionPolicy(
            _FIRST_RECONNECT_S, _LAST_RECONNECT_S, max_attempts=None
        ),
        idle_heartbeat_interval=_HEARTBEAT_S,
        idle_heartbeat_timeout=_HEARTBEAT_S,
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(**profile),
            _READS: ExecutionProfile(**profile, speculative_execution_policy=speculating),
        },
    )
