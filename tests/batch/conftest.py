import pytest
import typer
from deltalake import DeltaTable
from lake_events import CATALOG, NOON, append, value
from typer.testing import CliRunner

from batch.engine import Engine
from batch.lake import Lake
from connectors.log.sqlite import SqliteLog
from schemas.links import LinkClicked
from sixfold import wiring
from sixfold.commands import batch, sql
from sixfold.platform import Platform
from sixfold.settings import load


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


@pytest.fixture
def clock(monkeypatch):
    """When records are appended, in milliseconds."""
    times = {"now_ms": int(NOON.timestamp() * 1000)}
    monkeypatch.setattr("time.time_ns", lambda: times["now_ms"] * 1_000_000)
    return times


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("SIXFOLD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SIXFOLD_VAULT_MASTER_KEY", str(tmp_path / "master.key"))
    return load(tmp_path / "sixfold.toml")


@pytest.fixture
def clicked(settings):
    with Platform.create(settings) as platform:
        for n in range(5):
            append(
                platform.log,
                "clicks",
                0,
                value(LinkClicked("abc", f"v{n}"), wiring.CATALOG, id=f"{n}"),
            )
        append(platform.log, "clicks", 1, b"nonsense")


@pytest.fixture
def sixfold(settings, tmp_path):
    """Runs a command; what it printed."""
    app = typer.Typer()
    app.command("sql")(sql.sql)
    app.add_typer(batch.app, name="batch")

    def run(*arguments):
        result = CliRunner().invoke(app, arguments, obj=tmp_path / "sixfold.toml")
        if result.exception:
            raise result.exception
        return result.stdout_bytes

    return run
