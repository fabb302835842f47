"""The folds that are run here are those of the runtime's own tests; engines run for all of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / room) for room in ("streams", "connectors", "connectors/store", "engines")]

from cassandra_stores import session, shared_pair, shared_session  # noqa: E402, F401
from kafka_logs import kafka_log, kafka_settings  # noqa: E402, F401
from platform_process import PlatformProcess  # noqa: E402
from running import cassandra, cassandra_engine, kafka, kafka_engine  # noqa: E402, F401


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PlatformProcess]:
    """A host with its gateway, on a data directory of its own."""
    process = PlatformProcess(tmp_path)
    process.start()
    yield process
    process.close()
