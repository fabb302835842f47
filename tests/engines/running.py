"""Fixtures: engines that are started once for all tests, each on a directory of its own.

A test may kill, pause or stop an engine: the next one finds it started again on the same data.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from connectors.engines.cassandra import Cassandra
from connectors.engines.engine import Engine
from connectors.engines.jars import default_cache
from connectors.engines.kafka import Kafka
from connectors.errors import ToolMissing

E = TypeVar("E", bound=Engine)

# A process of its own, which waits until the tests end, for when they are killed.
_STOP_AT_THE_END = """
import importlib, pathlib, sys
module, kind, *folders = sys.argv[1:]
engine = getattr(importlib.import_module(module), kind)(*map(pathlib.Path, folders))
sys.stdin.read()
engine.resume()
engine.stop()
"""


@pytest.fixture(scope="session")
def kafka_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    yield from _running(Kafka(tmp_path_factory.mktemp("kafka"), cache()))


@pytest.fixture(scope="session")
def cassandra_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    yield from _running(Cassandra(tmp_path_factory.mktemp("cassandra"), cache()))


@pytest.fixture
def kafka(kafka_engine: Kafka) -> Iterator[Kafka]:
    yield kafka_engine
    _mend(kafka_engine)


@pytest.fixture
def cassandra(cassandra_engine: Cassandra) -> Iterator[Cassandra]:
    yield cassandra_engine
    _mend(cassandra_engine)


def cache() -> Path:
    return Path(os.environ.get("SIXFOLD_ENGINES_CACHE") or default_cache())


def _running(engine: E) -> Iterator[E]:
    try:
        engine.start()
    except ToolMissing as error:
        pytest.skip(str(error))
    kind = type(engine)
    names = [kind.__module__, kind.__name__, str(engine.directory), str(engine.cache)]
    with subprocess.Popen(
        [sys.executable, "-c", _STOP_AT_THE_END, *names],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    ):
        yield engine
        _stop(engine)


def _stop(engine: Engine) -> None:
    engine.resume()
    engine.stop()


def _mend(engine: Engine) -> None:
    engine.resume()
    engine.start()
