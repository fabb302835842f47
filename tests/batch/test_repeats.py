"""Events that were appended twice are rows once: by the rules of folds."""

from contextlib import closing
from datetime import timedelta

import msgspec
import pytest
from lake_events import (
    CATALOG,
    NOON,
    ReturnAnnounced,
    append,
    append_orders,
    placed,
    value,
)

from batch.archive import archive
from batch.repeats import Copy, Place, repeats_of
from connectors.log.sqlite import SqliteLog
from streams.duplicates import KEPT_MS

DAY_MS = 86_400_000


def copies(*appended_ms, key=1):
    return [Copy(key, time_ms, Place(0, n)) for n, time_ms in enumerate(appended_ms)]


def test_a_copy_within_seven_days_is_a_repeat_and_a_later_one_is_none():
    assert repeats_of(copies(0, KEPT_MS)) == [Place(0, 1)]
    assert repeats_of(copies(0, KEPT_MS + 1)) == []


def test_a_repeat_does_not_put_off_when_its_id_is_forgotten():
    assert repeats_of(copies(0, 6 * DAY_MS, 8 * DAY_MS, 9 * DAY_MS)) == [Place(0, 1), Place(0, 3)]


def test_what_counts_already_stays_and_is_no_repeat_of_what_comes():
    assert repeats_of([*copies(0), Copy(1, DAY_MS, None)]) == [Place(0, 0)]


def test_events_of_other_ids_are_no_repeats():
    assert repeats_of([*copies(0), *copies(0, key=2)]) == []


@pytest.mark.parametrize("is_archived", [True, False], ids=["archived", "in the log"])
@pytest.mark.parametrize(("days", "count"), [(6.9, 1), (7.1, 2)])
def test_an_id_is_known_for_seven_days_whatever_time_its_event_says(
    is_archived, days, count, clock, lake, log, rows
):
    append_orders(log, placed(1))
    if is_archived:
        archive(lake, log)
    clock["now_ms"] += int(days * DAY_MS)
    append_orders(log, placed(1, time=NOON + timedelta(days=300)))
    assert rows("SELECT count(*) AS n FROM orders") == [{"n": count}]
    archive(lake, log)
    assert rows("SELECT count(*) AS n FROM orders") == [{"n": count}]


def test_an_id_is_known_in_all_partitions(lake, log, orders):
    append(log, "orders", 0, placed(1))
    append(log, "orders", 1, placed(1))
    append(log, "orders", 1, placed(2))
    archive(lake, log)
    append(log, "orders", 0, placed(2))
    assert archive(lake, log).total.duplicates == 1
    assert orders() == ["order 1", "order 2"]


def test_what_the_platform_appends_itself_is_never_taken_for_a_repeat(lake, log, orders):
    append_orders(log, placed(1, source="import/x"), placed(1, source="import/x"))
    archive(lake, log)
    append_orders(log, placed(1, source="fold/x", cause="carts/0/1"))
    assert archive(lake, log).total.rows == 1
    assert len(orders()) == 3


def test_clients_events_of_topics_that_are_not_deduplicated_may_have_one_id(lake, log):
    record = value(ReturnAnnounced("1"), id="same", source="client/till")
    append(log, "returns", 0, record, record)
    assert archive(lake, log).total.rows == 2


@pytest.mark.parametrize("is_archived", [True, False], ids=["archived", "in the log"])
@pytest.mark.parametrize(
    "marks",
    [
        {"source": "requeue/counting", "cause": "returns/0/0"},
        {"source": "gateway/1", "cause": "spill-5f-returns/0/7"},
    ],
    ids=["requeued", "spilled"],
)
def test_what_is_requeued_or_drained_twice_is_one_row(marks, is_archived, lake, log, clock, rows):
    again = value(ReturnAnnounced("1"), id="same", **marks)
    is_spilled = marks["cause"].startswith("spill-")
    append(log, "returns", 0, again if is_spilled else value(ReturnAnnounced("1"), id="same"))
    if is_archived:
        archive(lake, log)
    clock["now_ms"] += 20 * DAY_MS
    append(log, "returns", 0, again, again, value(ReturnAnnounced("2"), id="other"))
    assert rows("SELECT count(*) AS n FROM returns") == [{"n": 2}]
    archive(lake, log)
    assert rows("SELECT count(*) AS n FROM returns") == [{"n": 2}]


def test_a_requeued_record_that_had_no_row_gets_one(lake, log, orders):
    unreadable = placed(1).replace(b"order.placed", b"order.praised")
    append(log, "orders", 0, unreadable)
    archive(lake, log)
    copy = msgspec.json.decode(placed(1)) | {"source": "requeue/x", "cause": "orders/0/0"}
    append(log, "orders", 0, msgspec.json.encode(copy))
    archive(lake, log)
    assert orders() == ["order 1"]


def test_another_log_repeats_nothing_that_is_archived(tmp_path, lake, log, orders):
    imported = [placed(n, source="import/x") for n in range(3)]
    append_orders(log, *imported)
    archive(lake, log)
    with closing(SqliteLog(tmp_path / "restored.db", "NORMAL")) as restored:
        restored.create(CATALOG.topics.values())
        for _ in range(2):
            append_orders(restored, *imported[:2])
            archive(lake, restored)
    assert orders() == ["order 0", "order 1", "order 2"]
