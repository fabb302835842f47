"""The folds that are run here are those of the runtime's own tests; engines run for all of them."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / room) for room in ("streams", "connectors", "connectors/store", "engines")]

from cassandra_stores import session, shared_pair, shared_session  # noqa: E402, F401
from kafka_logs import kafka_log, kafka_settings  # noqa: E402, F401
from running import cassandra, cassandra_engine, kafka, kafka_engine  # noqa: E402, F401
