import os
import time
from datetime import timedelta

import pytest
from lake_events import append_orders, placed

from batch import files
from batch.archive import archive
from batch.compaction import compact
from batch.engine import Engine
from batch.vacuum import vacuum

HOUR_S = 3600


@pytest.fixture
def table(lake, log):
    for n in range(5):
        append_orders(log, placed(n))
        archive(lake, log)
    return lake.directory / "orders"


def parquet(table):
    return sorted(table.glob("month=*/**/*.parquet"))


def age(table, hours):
    for path in parquet(table):
        os.utime(path, (time.time() - hours * HOUR_S,) * 2)


def compact_earlier(lake, hours, monkeypatch):
    with monkeypatch.context() as patched:
        now_ms = int((time.time() - hours * HOUR_S) * 1000)
        patched.setattr(files, "_now_ms", lambda: now_ms)
        compact(lake)


def test_files_that_were_replaced_long_ago_are_removed(lake, log, table, orders, monkeypatch):
    compact_earlier(lake, 25, monkeypatch)
    assert len(parquet(table)) == 6
    assert vacuum(lake) == {"orders": 5, "returns": 0}
    assert len(parquet(table)) == 1
    assert len(orders()) == 5
    append_orders(log, placed(5), placed(1))
    assert archive(lake, log).total.rows == 1
    assert vacuum(lake)["orders"] == 0


def test_files_that_somebody_may_still_read_stay(lake, log, table, monkeypatch):
    age(table, 48)
    with Engine(lake, log) as engine:
        assert engine.sql("FROM orders").read_all().num_rows == 5
        compact_earlier(lake, 23, monkeypatch)
        assert vacuum(lake)["orders"] == 0
        assert engine.sql("FROM orders").read_all().num_rows == 5
    assert vacuum(lake, keep=timedelta(hours=22))["orders"] == 5


def test_files_of_jobs_that_were_cut_short_are_removed_when_nobody_can_be_at_them(lake, table):
    orphan = table / "month=2024-05/bucket=7/orphan.parquet"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"rows of a job that was killed")
    assert vacuum(lake)["orders"] == 0
    os.utime(orphan, (time.time() - 25 * HOUR_S,) * 2)
    assert vacuum(lake)["orders"] == 1
    assert not orphan.exists()


def test_archives_go_on_after_deltas_log_was_cut(lake, log, table, orders):
    vacuum(lake)
    append_orders(log, placed(4), placed(5))
    total = archive(lake, log).total
    assert (total.rows, total.duplicates) == (1, 1)
    compact(lake)
    assert len(orders()) == 6
