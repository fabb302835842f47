"""Stores on Cassandra; where they share a keyspace, each has tenants of its own."""

import itertools
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any

import pytest
from stores import BIRDS, OTHER, SEEN, Pair

from connectors.engines.cassandra import Cassandra
from connectors.store.cassandra.generations import CassandraGenerations
from connectors.store.cassandra.rows import CassandraRows
from connectors.store.cassandra.schema import connect
from connectors.store.cassandra.session import Session
from connectors.store.cassandra.settings import CassandraSettings
from connectors.store.cassandra.views import CassandraViews
from streams.commit import Commit, Generation
from streams.fold import Fold
from streams.memory import MemoryLog


class CassandraCommitter(CassandraGenerations):
    """The store's part of commits, each of which is later than the one before."""

    def __init__(self, session: Session, incarnation: str = "memory"):
        super().__init__(session, incarnation)
        times = itertools.count(1)
        self._session = session
        self._rows = CassandraRows(session, lambda commit: next(times))

    def commit(self, commits: Sequence[Commit]) -> "Future[object]":
        self._rows.put(commits)
        for commit in commits:
            self._rows.publish(commit.generation, commit.partition, commit.offsets)
        return done()

    def activate(self, generation: Generation) -> Any:
        super().activate(generation)
        return done()

    def applied(self, generation: Generation) -> dict[tuple[str, int], int]:
        query = "SELECT topic, partition, next FROM keyspace.applied WHERE fold = ? AND number = ?"
        return {(t, p): next_ for t, p, next_ in self._session.execute(query, *generation)}


def done() -> "Future[object]":
    future: Future[object] = Future()
    future.set_result(None)
    return future


def settings_for(cassandra: Cassandra, **others: Any) -> CassandraSettings:
    """Of a keyspace that nobody else has."""
    return CassandraSettings.of_url(f"{cassandra.url}/k{secrets.token_hex(4)}", **others)


@contextmanager
def opened(settings: CassandraSettings) -> Iterator[Session]:
    """A session with a keyspace that is gone afterwards."""
    with closing(connect(settings)) as session:
        yield session
        session.change(f"DROP KEYSPACE {settings.keyspace}")


def cassandra_pair(session: Session, *folds: Fold, tenant: str = "acme") -> Pair:
    # Readers notice at once that another generation is active.
    views = CassandraViews(session, folds, itertools.count(step=10).__next__)
    return Pair(MemoryLog([SEEN, OTHER]), CassandraCommitter(session), views, tenant)


@pytest.fixture(scope="session")
def shared_session(cassandra_engine: Cassandra) -> Iterator[Session]:
    """Of a keyspace that tests share that neither kill the node nor change generations."""
    with opened(settings_for(cassandra_engine)) as session:
        yield session


@pytest.fixture(scope="session")
def shared_pair(shared_session: Session) -> Pair:
    return cassandra_pair(shared_session, BIRDS)


@pytest.fixture
def session(cassandra: Cassandra) -> Iterator[Session]:
    """Of a keyspace of its own."""
    with opened(settings_for(cassandra)) as session:
        yield session
