from datetime import date

import pytest
from lake_events import (
    CATALOG,
    NOON,
    OrderCancelled,
    OrderPlaced,
    ReturnAnnounced,
    append,
    append_orders,
    placed,
    refused,
    value,
)

from batch import backlog
from batch.archive import archive
from batch.engine import Engine
from batch.errors import QueryError
from batch.lake import Lake
from schemas.catalog import Catalog
from schemas.event import Data, event, event_type_of


@pytest.fixture
def engine(lake, log):
    with Engine(lake, log) as engine:
        yield engine


def counted(engine, table="orders"):
    return engine.sql(f"SELECT count(*) AS n FROM {table}").read_all().to_pylist()[0]["n"]


def test_rows_of_lake_and_log_are_one_table(lake, log, rows):
    append_orders(log, *(placed(n) for n in range(6)))
    archive(lake, log)
    append_orders(log, *(placed(n) for n in range(6, 10)))
    assert rows('SELECT count(*) AS n, count(DISTINCT "order") AS orders FROM orders') == [
        {"n": 10, "orders": 10}
    ]


def test_archiving_changes_no_answer(lake, log, rows):
    append_orders(log, *(placed(n) for n in range(6)), value(OrderCancelled("order 1", "rain")))
    before = rows("FROM orders ORDER BY ALL")
    archive(lake, log)
    assert rows("FROM orders ORDER BY ALL") == before


def test_repeats_are_left_out_wherever_the_first_is(lake, log, rows, monkeypatch):
    monkeypatch.setattr(backlog, "READ_RECORDS", 1)
    monkeypatch.setattr(backlog, "STRETCH_RECORDS", 1)
    append_orders(log, placed(1))
    archive(lake, log)
    for n in (1, 2, 2, 3):
        append_orders(log, placed(n))
    assert rows('SELECT "order" FROM orders ORDER BY 1') == [
        {"order": "order 1"},
        {"order": "order 2"},
        {"order": "order 3"},
    ]


def test_malformed_records_are_left_out(log, rows):
    append(log, "orders", 0, b"{", placed(1), b"\xff")
    assert rows('SELECT "order" FROM orders') == [{"order": "order 1"}]


def test_an_engine_sees_a_topic_as_it_was_when_first_asked(lake, log, engine):
    append_orders(log, placed(1))
    assert counted(engine) == 1
    append_orders(log, placed(2))
    archive(lake, log)
    append_orders(log, placed(3))
    assert counted(engine) == 1
    with Engine(lake, log) as later:
        assert counted(later) == 3


def test_appends_and_archiving_while_a_topic_is_read_hide_nothing(lake, log, engine, monkeypatch):
    append_orders(log, *(placed(n) for n in range(20)))
    read = log.read
    busy = []

    def reading(*args):
        if not busy:
            busy.append(True)
            append_orders(log, *(placed(n) for n in range(20, 30)))
            archive(lake, log)
        return read(*args)

    monkeypatch.setattr(log, "read", reading)
    monkeypatch.setattr(backlog, "READ_RECORDS", 5)
    (seen,) = (
        engine.sql("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM orders")
        .read_all()
        .to_pylist()
    )
    assert 20 <= seen["n"] == seen["ids"] <= 30
    with Engine(lake, log) as later:
        assert counted(later) == 30


def test_events_are_what_all_topics_have_in_common(lake, log, rows):
    append_orders(log, placed(1))
    archive(lake, log)
    append(log, "returns", 0, value(ReturnAnnounced("order 1"), id="r"))
    assert rows("SELECT topic, type, tenant, date FROM events ORDER BY topic") == [
        {"topic": "orders", "type": "order.placed", "tenant": "acme", "date": date(2024, 5, 17)},
        {
            "topic": "returns",
            "type": "return.announced",
            "tenant": "acme",
            "date": date(2024, 5, 17),
        },
    ]


def test_topics_can_be_joined_and_shadowed(log, rows):
    append_orders(log, placed(1), placed(2))
    append(log, "returns", 0, value(ReturnAnnounced("order 1")))
    assert rows('SELECT "order" FROM orders JOIN returns USING ("order")') == [{"order": "order 1"}]
    assert rows("WITH orders AS (SELECT 7 AS n) FROM orders") == [{"n": 7}]


def test_only_the_topics_that_a_query_names_are_read(log, engine, monkeypatch):
    append_orders(log, placed(1))
    append(log, "returns", 0, value(ReturnAnnounced("order 1")))
    read = []
    monkeypatch.setattr(log, "read", lambda topic, *rest: read.append(topic))
    engine.sql("FROM orders").read_all()
    assert set(read) == {"orders"}


def test_tables_are_listed(rows):
    assert [row["name"] for row in rows("SHOW TABLES")] == ["events", "orders", "returns"]


def test_several_results_can_be_read_at_once(log, engine):
    append_orders(log, *(placed(n) for n in range(10)))
    first, second = engine.sql("FROM range(100000)"), engine.sql("FROM orders")
    assert next(iter(first)).num_rows
    assert second.read_all().num_rows == 10
    assert sum(batch.num_rows for batch in first) < 100_000


def test_times_are_utc_whatever_the_machine_thinks(log, rows, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    append_orders(log, value(OrderPlaced("1"), time=NOON.replace(hour=23)))
    assert rows("SELECT date, hour(time) AS hour FROM orders") == [
        {"date": date(2024, 5, 17), "hour": 23}
    ]


def test_what_exceeds_the_memory_limit_goes_to_disk(lake, log):
    with Engine(lake, log, memory_limit="60MB") as engine:
        query = (
            "SELECT count(*) AS n FROM (SELECT DISTINCT md5(range::VARCHAR) FROM range(1500000))"
        )
        assert engine.sql(query).read_all().to_pylist() == [{"n": 1_500_000}]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", ["syntax error", "SELEC"]),
        ("SELECT nothing FROM orders", ["nothing"]),
        ("FROM carts", ["carts", "The tables are orders, returns, events"]),
        ("SELECT 1; SELECT 2", ["one SELECT"]),
        ("", ["one SELECT"]),
        ("CREATE TABLE x AS SELECT 1", ["one SELECT"]),
        ("DROP VIEW orders", ["one SELECT"]),
        ("COPY orders TO '/tmp/orders.csv'", ["one SELECT"]),
        ("SET memory_limit = '1TB'", ["one SELECT"]),
        ("INSTALL httpfs", ["one SELECT"]),
        ("FROM read_csv('/etc/passwd')", ["disabled"]),
        ("FROM read_parquet('https://example.org/x.parquet')", ["disabled"]),
    ],
)
def test_queries_that_are_wrong_or_no_select_are_refused(query, words, engine):
    with refused(QueryError, *words):
        engine.sql(query)


def test_a_query_that_fails_while_it_runs_says_why(engine):
    with refused(QueryError, "too hot"):
        engine.sql(
            "SELECT CASE WHEN range = 99999 THEN error('too hot') END FROM range(100000)"
        ).read_all()


def test_a_query_that_failed_leaves_the_engine_working(log, engine):
    append_orders(log, placed(1))
    with refused(QueryError):
        engine.sql("FROM orders WHERE nothing")
    assert counted(engine) == 1


def test_names_that_are_words_of_sql_can_be_topics(tmp_path, log):
    @event("group.formed", topic="group", key="order")
    class GroupFormed(Data):
        """People came together."""

        order: str

    catalog = Catalog([event_type_of(GroupFormed)])
    log.create(catalog.topics.values())
    append(log, "group", 0, value(GroupFormed("1"), catalog))
    lake = Lake(tmp_path / "groups", catalog)
    for _ in ("log", "lake"):
        with Engine(lake, log) as engine:
            assert counted(engine, '"group"') == 1
            assert counted(engine, "events") == 1
        archive(lake, log)


def test_the_catalog_names_what_is_queried(lake):
    assert set(lake.topics) == {t.name for t in CATALOG.topics.values() if t.archived}
