import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from lake_events import (
    CATALOG,
    NOON,
    OrderPlaced,
    ReturnAnnounced,
    append,
    append_orders,
    later_catalog,
    placed,
    refused,
    value,
)

from batch import backlog
from batch.archive import archive
from batch.backlog import refuse_older_copy
from batch.engine import Engine
from batch.errors import LakeError, LogRestored
from batch.lake import Lake
from batch.rows import Tally
from connectors.log.restoring import renew
from connectors.log.sqlite import SqliteLog
from schemas.fields import Subject


def numbered(numbers):
    return sorted(f"order {n}" for n in numbers)


def test_the_log_moves_into_the_lake(lake, log, orders):
    values = [placed(n) for n in range(10)]
    append_orders(log, *values)
    archived = archive(lake, log)
    assert archived.topics == {
        "orders": Tally(rows=10, size_bytes=sum(map(len, values))),
        "returns": Tally(),
    }
    assert archived.total.rows == 10
    assert archived.duration_s > 0
    assert orders() == numbered(range(10))


def test_only_what_is_new_is_moved(lake, log, orders):
    append_orders(log, *(placed(n) for n in range(5)))
    archive(lake, log)
    append_orders(log, *(placed(n) for n in range(5, 8)))
    assert archive(lake, log).total.rows == 3
    assert archive(lake, log).total.rows == 0
    assert orders() == numbered(range(8))


def test_a_log_without_topics_is_archived_in_no_time(tmp_path, lake):
    log = SqliteLog(tmp_path / "other.db", "NORMAL")
    assert archive(lake, log).total == Tally()
    log.close()


def test_topics_that_are_not_archived_have_no_table(lake):
    assert lake.topics == ["orders", "returns"]


def test_many_records_are_moved_in_several_commits(lake, log, orders, monkeypatch):
    monkeypatch.setattr(backlog, "READ_RECORDS", 5)
    monkeypatch.setattr(backlog, "STRETCH_RECORDS", 10)
    for n in range(0, 60, 6):
        append_orders(log, *(placed(i) for i in range(n, n + 6)))
    seen = []
    archive(lake, log, seen.append)
    assert len(seen) > 2
    assert [progress.done for progress in seen] == sorted({progress.done for progress in seen})
    assert seen[-1] == ("orders", 60, 60)
    assert orders() == numbered(range(60))


def test_large_records_are_moved_in_several_commits(lake, log, orders, monkeypatch):
    monkeypatch.setattr(backlog, "READ_RECORDS", 1)
    monkeypatch.setattr(backlog, "STRETCH_BYTES", 500)
    for n in range(12):
        append_orders(log, placed(n))
    seen = []
    archive(lake, log, seen.append)
    assert len(seen) > 2
    assert orders() == numbered(range(12))


def test_an_event_that_was_appended_twice_is_archived_once(lake, log, orders):
    append_orders(log, placed(1), placed(1), placed(2))
    assert archive(lake, log).total == Tally(
        rows=2, duplicates=1, size_bytes=sum(map(len, (placed(1), placed(1), placed(2))))
    )
    assert orders() == numbered([1, 2])


def test_an_event_that_was_appended_again_later_is_archived_once(lake, log, orders):
    append_orders(log, placed(1))
    archive(lake, log)
    again = placed(1, time=NOON + timedelta(hours=23))
    append_orders(log, again, placed(2))
    total = archive(lake, log).total
    assert (total.rows, total.duplicates) == (1, 1)
    assert orders() == numbered([1, 2])


def test_the_first_of_two_appends_is_the_one_that_stays(lake, log, rows):
    append(log, "orders", 0, placed(1, source="client/1"), placed(1, source="client/2"))
    archive(lake, log)
    assert rows("SELECT source FROM orders") == [{"source": "client/1"}]


def test_tenants_may_have_events_of_the_same_id(lake, log, orders):
    append_orders(log, placed(1), placed(1, tenant="other"))
    archive(lake, log)
    append_orders(log, placed(1, tenant="third"))
    assert archive(lake, log).total.duplicates == 0
    assert orders() == numbered([1, 1, 1])


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        placed(1) + placed(2),
        placed(1).replace(b'"acme"', b"7"),
        placed(1).replace(b'"order"', b'"ordre"'),
        placed(1)[:-1] + b',"extra":"\xff"}',
    ],
)
def test_a_malformed_record_is_counted_and_the_others_are_archived(poison, lake, log, orders):
    append(log, "orders", 0, placed(1), poison, placed(2))
    total = archive(lake, log).total
    assert (total.rows, total.malformed, total.unknown) == (2, 1, 0)
    assert orders() == numbered([1, 2])
    assert archive(lake, log).total == Tally()


def test_a_stretch_of_malformed_records_alone_is_passed(lake, log, orders):
    append(log, "orders", 0, b"nonsense")
    assert archive(lake, log).total.malformed == 1
    assert archive(lake, log).total == Tally()
    assert orders() == []


def test_an_unknown_type_is_counted_as_such(lake, log, orders):
    append(log, "orders", 0, placed(1).replace(b"order.placed", b"order.praised"), placed(2))
    append(log, "orders", 1, value(ReturnAnnounced("3")))
    total = archive(lake, log).total
    assert (total.rows, total.malformed, total.unknown) == (1, 0, 2)
    assert orders() == numbered([2])


def test_fields_that_the_catalog_does_not_know_are_left_out(lake, log, rows):
    append(log, "orders", 0, placed(1).replace(b'"data":{', b'"later":1,"data":{"later":[1],'))
    assert archive(lake, log).total.rows == 1
    (row,) = rows("FROM orders")
    assert row["order"] == "order 1"
    assert "later" not in row


def test_numbers_that_do_not_fit_are_null(lake, log, rows):
    record = value(OrderPlaced("1", stock={"pen": 1}))
    append(log, "orders", 0, record.replace(b'"pen":1', b'"pen":123456789012345678901'))
    assert archive(lake, log).total.rows == 1
    assert rows("SELECT stock FROM orders") == [{"stock": {"pen": None}}]


def test_new_optional_fields_become_columns(tmp_path, lake, log, rows, orders):
    append_orders(log, placed(1))
    archive(lake, log)
    catalog, placed_later = later_catalog()
    log.append([])
    record = value(placed_later("order 2", gift=True, colour="red"), catalog, id="id-2")
    append(log, "orders", 0, record)
    upgraded = Lake(lake.directory, catalog)
    assert archive(upgraded, log).total.rows == 1
    assert archive(upgraded, log).total.rows == 0
    assert orders() == numbered([1, 2])
    assert rows('SELECT "order", colour FROM orders ORDER BY 1') == [
        {"order": "order 1", "colour": None},
        {"order": "order 2", "colour": "red"},
    ]


def test_an_older_archiver_goes_on_after_an_upgrade(lake, log, orders):
    catalog, _ = later_catalog()
    append_orders(log, placed(1))
    archive(Lake(lake.directory, catalog), log)
    append_orders(log, placed(2))
    archive(lake, log)
    assert orders() == numbered([1, 2])


def test_another_log_starts_from_its_own_beginning(tmp_path, lake, log, orders):
    append_orders(log, placed(1), placed(2), placed(3))
    archive(lake, log)
    restored = SqliteLog(tmp_path / "restored.db", "NORMAL")
    restored.create(CATALOG.topics.values())
    append_orders(restored, placed(2), placed(4))
    total = archive(lake, restored).total
    assert (total.rows, total.duplicates) == (1, 1)
    assert orders() == numbered([1, 2, 3, 4])
    restored.close()


@pytest.fixture
def restored(log, lake, tmp_path):
    """A copy of the log from before its end was appended and archived."""
    append_orders(log, placed(1), placed(2))
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        log.reader().backup(backup)
    append_orders(log, placed(3), placed(4), placed(5), placed(6))
    archive(lake, log)
    with closing(SqliteLog(tmp_path / "backup.db", "NORMAL")) as restored:
        yield restored


def test_an_older_copy_of_a_log_is_refused_by_whoever_compares_it(lake, restored):
    for compare in (archive, refuse_older_copy):
        with refused(LogRestored, "orders/", "but the log ends at", "`sixfold restored`"):
            compare(lake, restored)
    with refused(LogRestored, "`sixfold restored`"), Engine(lake, restored) as engine:
        engine.sql("FROM orders")


def test_a_log_that_is_no_older_copy_is_taken(lake, log):
    append_orders(log, placed(1))
    refuse_older_copy(lake, log)
    archive(lake, log)
    append_orders(log, placed(2))
    refuse_older_copy(lake, log)


def test_a_restored_log_goes_on_in_the_lake_without_losses_and_repeats(lake, restored, orders):
    before = restored.incarnation
    renew(restored, {})
    restored.close()
    with closing(SqliteLog(restored.path, "NORMAL")) as log:
        assert log.incarnation != before
        # At the offsets of what was lost, and one of them is appended again.
        append_orders(log, placed(7), placed(8), placed(6))
        with Engine(lake, log) as engine:
            (seen,) = engine.sql("SELECT count(*) AS n FROM orders").read_all().to_pylist()
        total = archive(lake, log).total
        assert (total.rows, total.duplicates) == (2, 3)
        assert orders() == numbered(range(1, 9))
        assert seen == {"n": 8}


def test_what_is_skipped_is_never_given(log):
    append_orders(log, placed(1), placed(2))
    ends = {p: log.bounds("orders", p)[1] for p in range(2)}
    renew(log, {"orders": 1_000})
    assert {p: log.bounds("orders", p)[1] - 1_000 for p in range(2)} == ends
    append_orders(log, placed(1))
    assert log.read("orders", 0, ends[0], 1) or log.read("orders", 1, ends[1], 1)
    assert log.bounds("returns", 0) == (0, 0)


def test_pseudonyms_are_not_in_deltas_own_log(lake, log):
    customer = Subject("5f0c9d2e")
    append(log, "orders", 0, value(OrderPlaced("1", customer), subject=customer))
    archive(lake, log)
    written = b"".join(path.read_bytes() for path in lake.directory.rglob("*.json"))
    assert b"time_ms" in written
    assert customer.encode() not in written


def test_a_table_that_is_broken_is_an_error_with_its_path(lake, log):
    append(log, "orders", 0, placed(1))
    archive(lake, log)
    (lake.directory / "orders/_delta_log/00000000000000000000.json").write_text("nonsense")
    append(log, "orders", 0, placed(2))
    with refused(LakeError, str(lake.directory / "orders")):
        archive(lake, log)
