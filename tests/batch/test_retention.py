from datetime import timedelta

import pytest
from lake_events import NOON, ReturnAnnounced, append, append_orders, placed, value

from batch.archive import archive
from batch.compaction import compact
from batch.retention import retain

DAY_MS = 86_400_000


@pytest.fixture
def returned(lake, log, clock):
    """Returns of four days, each a month after the one before, and one of long ago that came late."""
    for n, months in enumerate((0, 1, 2, 3)):
        clock["now_ms"] = int(NOON.timestamp() * 1000) + 30 * DAY_MS * months
        time = NOON + timedelta(days=30 * months)
        append(log, "returns", 0, value(ReturnAnnounced(f"{n}"), id=f"{n}", time=time))
        archive(lake, log)
    append(log, "returns", 0, value(ReturnAnnounced("late"), id="late", time=NOON))
    append_orders(log, placed(1, time=NOON - timedelta(days=1000)))
    archive(lake, log)


@pytest.fixture
def left(rows):
    return lambda: [row["order"] for row in rows('SELECT "order" FROM returns ORDER BY 1')]


@pytest.mark.usefixtures("returned")
@pytest.mark.parametrize("is_compacted", [True, False])
def test_rows_are_dropped_when_their_topic_keeps_them_no_longer(is_compacted, lake, left):
    if is_compacted:
        compact(lake)
    assert retain(lake, NOON + timedelta(days=90)) == {"returns": 0}
    assert retain(lake, NOON + timedelta(days=125)) == {"returns": 2}
    assert left() == ["2", "3", "late"]
    assert retain(lake, NOON + timedelta(days=125)) == {"returns": 0}
    assert retain(lake, NOON + timedelta(days=400)) == {"returns": 3}
    assert left() == []


@pytest.mark.usefixtures("returned")
def test_topics_that_keep_all_lose_nothing(lake, orders):
    retain(lake, NOON + timedelta(days=10_000))
    assert orders() == ["order 1"]


@pytest.mark.usefixtures("returned")
def test_of_a_file_with_old_and_new_rows_the_new_ones_stay(lake, left):
    retain(lake, NOON + timedelta(days=1))
    compact(lake)
    (old, *_) = lake.table("returns").files()
    seen = []
    assert retain(lake, NOON + timedelta(days=91), seen.append) == {"returns": 1}
    assert left() == ["1", "2", "3", "late"]
    assert old not in lake.table("returns").files()
    assert [progress.done for progress in seen] == [seen[-1].total]


@pytest.mark.usefixtures("returned")
def test_what_was_dropped_is_not_archived_again(lake, log, left):
    retain(lake, NOON + timedelta(days=400))
    assert archive(lake, log).total.rows == 0
    assert left() == []
