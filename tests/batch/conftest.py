import pytest
from deltalake import DeltaTable
from lake_events import CATALOG

from batch.engine import Engine
from batch.lake import Lake
from connectors.log.sqlite import SqliteLog


@pytest.fixture
def log(tmp_path):
    log = SqliteLog(tmp_path / "log.db", "NORMAL")
    log.create(CATALOG.topics.values())
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", CATALOG)


@pytest.fixture
def rows(lake, log):
    """Runs a query on the lake and the log as they are now."""

    def run(query):
        with Engine(lake, log) as engine:
            return engine.sql(query).read_all().to_pylist(maps_as_pydicts="strict")

    return run


@pytest.fixture
def orders(lake):
    """What the table of the archive, not the log, has: the order of each row."""

    def found():
        table = DeltaTable(lake.directory / "orders").to_pyarrow_table()
        return sorted(table["order"].to_pylist())

    return found
