"""Rows move into months and buckets, and nobody who reads or appends meanwhile notices."""

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from lake_events import (
    NOON,
    OrderPlaced,
    append,
    append_orders,
    later_catalog,
    placed,
    refused,
    value,
)

from batch import compaction
from batch import lake as lakes
from batch import rewrite as rewriting
from batch.archive import archive
from batch.compaction import compact, merges, moves
from batch.engine import Engine
from batch.errors import LakeBusy, LakeError
from batch.files import NOBODYS_BUCKET, RECENT, File, relation_of
from batch.lease import maintenance
from batch.rewrite import rewrite
from schemas.fields import Subject

SUBJECTS = [Subject(f"{n:032x}") for n in range(20)]


def order(n, **envelope):
    fields = {"id": f"id-{n}", "source": "client/till", "time": NOON + timedelta(days=10 * n)}
    subject = SUBJECTS[n % 20] if n % 2 else None
    return value(OrderPlaced(f"order {n}", subject), subject=subject, **fields | envelope)


@pytest.fixture
def archived(lake, log):
    """Forty orders of fourteen months, in ten commits."""
    for n in range(0, 40, 4):
        append_orders(log, *(order(i) for i in range(n, n + 4)))
        archive(lake, log)


def places(lake):
    return {file.place for file in lake.table("orders").files()}


@pytest.mark.usefixtures("archived")
def test_rows_move_into_their_month_and_the_bucket_of_their_subject(lake, rows):
    before = rows("FROM orders ORDER BY ALL")
    assert {month for month, _ in places(lake)} == {RECENT}
    assert compact(lake) == {"orders": 40, "returns": 0}
    assert rows("FROM orders ORDER BY ALL") == before
    table = DeltaTable(lake.directory / "orders").to_pyarrow_table().to_pylist()
    assert {row["month"] == f"{row['date']:%Y-%m}" for row in table} == {True}
    buckets = {row["subject"]: row["bucket"] for row in table}
    assert buckets.pop(None) == NOBODYS_BUCKET
    assert {0 <= bucket < 64 for bucket in buckets.values()} == {True}
    assert len(set(buckets.values())) > 5
    assert len({(row["subject"], row["bucket"]) for row in table}) == len(buckets) + 1


@pytest.mark.usefixtures("archived")
def test_what_was_moved_is_left_alone(lake, log):
    compact(lake)
    version = DeltaTable(lake.directory / "orders").version()
    assert sum(compact(lake).values()) == 0
    assert DeltaTable(lake.directory / "orders").version() == version
    append_orders(log, order(40))
    archive(lake, log)
    assert compact(lake)["orders"] == 1


@pytest.mark.usefixtures("archived")
def test_repeats_of_what_was_moved_are_found(lake, log, orders):
    compact(lake)
    append_orders(log, order(3), order(40))
    total = archive(lake, log).total
    assert (total.rows, total.duplicates) == (1, 1)
    assert len(orders()) == 41


@pytest.mark.usefixtures("archived")
def test_statistics_of_moved_files_are_those_of_their_rows(lake, log):
    compact(lake)
    table = lake.table("orders")
    for file in table.files():
        relation = relation_of([str(table.path / file.path)])
        with Engine(lake, log) as engine:
            (row,) = (
                engine.sql(
                    "SELECT count(*) AS n, min(time_ms) AS t0, max(time_ms) AS t1, "
                    f"min(appended_ms) AS a0, max(appended_ms) AS a1 FROM {relation}"
                )
                .read_all()
                .to_pylist()
            )
        assert tuple(row.values()) == (file.rows, *file.time_ms, *file.appended_ms)


@pytest.mark.usefixtures("archived")
def test_small_files_of_a_place_become_one(lake, log, orders, monkeypatch):
    monkeypatch.setattr(compaction, "MAX_SMALL_FILES", 2)
    for n in range(4):
        append_orders(log, placed(100 + n))
        archive(lake, log)
        compact(lake)
        here = [f for f in lake.table("orders").files() if f.place == ("2024-05", NOBODYS_BUCKET)]
        assert len(here) <= 2
    assert len(orders()) == len(set(orders())) == 44


def file(place, rows):
    return File(f"{place}-{rows}", *place, 0, rows, None, None)


def test_a_step_has_no_more_rows_than_fit(monkeypatch):
    monkeypatch.setattr(rewriting, "STEP_ROWS", 10)
    recent = [file((RECENT, 0), rows) for rows in (4, 5, 3, 20, 1)]
    steps = moves([*recent, file(("2024-05", 1), 4)])
    assert [[each.rows for each in step] for step in steps] == [[4, 5], [3], [20], [1]]


def test_only_places_with_many_small_files_are_merged(monkeypatch):
    monkeypatch.setattr(compaction, "MAX_SMALL_FILES", 2)
    monkeypatch.setattr(compaction, "SMALL_ROWS", 100)
    crowded = [file(("2024-05", 1), rows) for rows in (1, 2, 3)]
    others = [file(("2024-05", 1), 100), *(file(("2024-06", 1), rows) for rows in (1, 2))]
    assert merges([*others, *crowded, file((RECENT, 0), 1)]) == [crowded]


class Crash(BaseException):
    """The end of a process, as far as code can see it."""


@pytest.mark.usefixtures("archived")
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_run_that_was_cut_short_is_gone_on_with(steps, lake, log, orders, monkeypatch):
    monkeypatch.setattr(rewriting, "STEP_ROWS", 8)
    expected, taken = orders(), []

    def crash(*args):
        if len(taken) == steps:
            raise Crash
        taken.append(rewrite(*args))
        return taken[-1]

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "rewrite", crash)
        with pytest.raises(Crash):
            compact(lake)
    assert orders() == expected
    assert compact(lake)["orders"] == 40 - 8 * steps
    assert orders() == expected
    assert RECENT not in {month for month, _ in places(lake)}


@pytest.mark.usefixtures("archived")
@pytest.mark.parametrize("is_committed", [True, False])
def test_a_crash_around_the_commit_of_a_move_repeats_and_loses_nothing(
    is_committed, lake, orders, monkeypatch
):
    expected, replace = orders(), lakes.Table.replace

    def crash(*args):
        if is_committed:
            replace(*args)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(lakes.Table, "replace", crash)
        with pytest.raises(Crash):
            compact(lake)
    assert orders() == expected
    assert compact(lake)["orders"] == (0 if is_committed else 40)
    assert orders() == expected


@pytest.mark.usefixtures("archived")
def test_pseudonyms_are_not_in_deltas_own_log(lake):
    compact(lake)
    written = b"".join(path.read_bytes() for path in lake.directory.rglob("*.json"))
    assert b"month=2024-05" in written
    assert not [subject for subject in SUBJECTS if subject.encode() in written]


@pytest.mark.usefixtures("archived")
def test_archives_go_on_while_rows_are_moved(lake, log, orders, monkeypatch):
    monkeypatch.setattr(rewriting, "STEP_ROWS", 8)
    count = [40]

    def meanwhile(*args):
        before = lake.table("orders")
        added = rewrite(*args)
        append_orders(log, order(count[0]))
        archive(lake, log)
        count[0] += 1
        assert before.files() != lake.table("orders").files()
        return added

    monkeypatch.setattr(compaction, "rewrite", meanwhile)
    assert compact(lake)["orders"] == 40
    assert orders() == sorted(f"order {n}" for n in range(count[0]))


def test_archives_compactions_and_readers_at_once_lose_and_repeat_nothing(lake, log, orders):
    done = threading.Event()
    errors, seen = [], []

    def until_done(work):
        def run():
            try:
                while not done.is_set():
                    work()
            except Exception as error:
                errors.append(error)

        return threading.Thread(target=run)

    def read():
        with Engine(lake, log) as engine:
            query = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM orders"
            (row,) = engine.sql(query).read_all().to_pylist()
        assert row["n"] == row["ids"]
        seen.append(row["n"])

    threads = [
        until_done(lambda: archive(lake, log)),
        until_done(lambda: compact(lake)),
        until_done(read),
    ]
    for thread in threads:
        thread.start()
    for n in range(0, 24, 3):
        append_orders(log, *(order(i) for i in range(n, n + 3)))
        count = len(seen)
        while len(seen) == count and not errors:
            done.wait(0.005)
        assert not errors, errors
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert seen == sorted(seen)
    archive(lake, log)
    compact(lake)
    assert orders() == sorted(f"order {n}" for n in range(24))


@pytest.mark.usefixtures("archived")
def test_whoever_reads_an_older_version_still_can(lake, log):
    with Engine(lake, log) as engine:
        assert engine.sql("FROM orders").read_all().num_rows == 40
        compact(lake)
        assert engine.sql("FROM orders").read_all().num_rows == 40


@pytest.mark.usefixtures("archived")
def test_one_job_at_a_time_maintains_a_lake(lake):
    with maintenance(lake.directory, "erasure"), refused(LakeBusy, "erasure", "process"):
        compact(lake)
    assert compact(lake)["orders"] == 40


def test_the_lease_ends_with_its_holder_however_it_dies(lake):
    code = (
        "import sys, time; from pathlib import Path; from batch.lease import maintenance\n"
        "with maintenance(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(lake.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout.readline() == b"held\n"
        with refused(LakeBusy), maintenance(lake.directory, "y"):
            pass
        process.kill()
    with maintenance(lake.directory, "y"):
        pass


@pytest.mark.usefixtures("archived")
def test_who_has_lost_the_lease_brings_nothing_back(lake, orders, monkeypatch):
    monkeypatch.setattr(lakes, "_BACKOFF_S", 0)
    expected = orders()
    stale = lake.table("orders")

    def lose(*args):
        added = rewrite(*args)
        files = lake.table("orders").files()
        lake.replace("orders", files, rewrite(args[0], args[1], files))
        return added

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "rewrite", lose)
        with refused(LakeError, "orders", "changed by others"):
            compact(lake)
    assert orders() == expected
    with refused(lakes.Overtaken):
        stale.replace(stale.files(), [])
    assert orders() == expected


@pytest.mark.usefixtures("archived")
def test_columns_that_are_newer_than_some_rows_are_null_there(lake, log, rows):
    catalog, placed_later = later_catalog()
    upgraded = lakes.Lake(lake.directory, catalog)
    append(log, "orders", 0, value(placed_later("late", colour="red"), catalog, id="late"))
    for _ in range(2):
        archive(upgraded, log)
        compact(upgraded)
    assert rows("SELECT colour, count(*) AS n FROM orders GROUP BY colour ORDER BY n") == [
        {"colour": "red", "n": 1},
        {"colour": None, "n": 40},
    ]
    compact(lake)
    append_orders(log, order(40))
    archive(lake, log)
    assert compact(lake)["orders"] == 1
    assert rows("SELECT count(*) AS n, count(colour) AS red FROM orders") == [{"n": 42, "red": 1}]


def test_late_events_move_into_the_month_in_which_they_happened(lake, log, orders):
    for n, days in enumerate((0, -400, 1, -4000)):
        append_orders(log, placed(n, time=NOON + timedelta(days=days)))
        archive(lake, log)
        compact(lake)
    assert {month for month, _ in places(lake)} == {"2024-05", "2023-04", "2013-06"}
    assert len(orders()) == 4
