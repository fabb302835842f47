from datetime import UTC, date, datetime

import msgspec
import pytest
from lake_events import (
    NOON,
    Line,
    OrderCancelled,
    OrderPlaced,
    Size,
    append,
    append_orders,
    refused,
    value,
)

from batch.archive import archive
from batch.columns import rows_sql
from batch.errors import ColumnConflict
from schemas.catalog import Catalog
from schemas.event import Data, event, event_type_of
from sixfold.wiring import CATALOG as PLATFORM

FULL = OrderPlaced(
    "1",
    channel="phone",
    paid=True,
    weight_kg=1.5,
    deliver_at=datetime(2024, 5, 18, 9, 30, tzinfo=UTC),
    size=Size.LARGE,
    urgency=3,
    tags=["new", "it's"],
    lines=[Line("pen", 2), Line("ink")],
    stock={"pen": 5},
    reward="mug",
)


@pytest.fixture(params=["in the log", "in the lake"])
def settle(request, lake, log):
    """Rows look the same wherever they are."""
    return (lambda: archive(lake, log)) if request.param == "in the lake" else (lambda: None)


def test_every_type_of_field_has_its_column(log, rows, settle):
    append_orders(log, value(FULL))
    settle()
    (row,) = rows("FROM orders")
    assert {name: row[name] for name in OrderPlaced.__struct_fields__ if name in row} == {
        "order": "1",
        "customer": None,
        "channel": "phone",
        "paid": True,
        "weight_kg": 1.5,
        "deliver_at": datetime(2024, 5, 18, 9, 30, tzinfo=UTC),
        "size": "large",
        "urgency": 3,
        "tags": ["new", "it's"],
        "lines": [{"article": "pen", "pieces": 2}, {"article": "ink", "pieces": 1}],
        "stock": {"pen": 5},
        "reward": '"mug"',
    }


def test_the_envelope_and_the_place_are_columns(log, rows, settle):
    late = datetime(2024, 5, 17, 23, 30, 0, 123456, tzinfo=UTC)
    before_ms = NOON.timestamp() * 1000
    append(
        log,
        "orders",
        1,
        value(OrderPlaced("0")),
        value(
            OrderPlaced("1"),
            id="abc",
            source="client/1",
            time=late,
            subject="someone",
            cause="carts/0/7",
            ordinal=2,
            traceparent="00-1-2-01",
            sealed="c2VhbGVk",
        ),
    )
    settle()
    first, row = rows('FROM orders ORDER BY "offset"')
    assert row.pop("appended_ms") > before_ms
    assert first["ordinal"] == 0
    assert {name: row[name] for name in list(row)[:14]} == {
        "partition": 1,
        "offset": 1,
        "time_ms": 1715988600123,
        "date": date(2024, 5, 17),
        "time": late,
        "type": "order.placed",
        "id": "abc",
        "source": "client/1",
        "tenant": "acme",
        "subject": "someone",
        "cause": "carts/0/7",
        "ordinal": 2,
        "traceparent": "00-1-2-01",
        "sealed": "c2VhbGVk",
    }


def test_what_a_record_leaves_out_has_its_types_default(log, rows, settle):
    append_orders(log, value(OrderPlaced("1")), value(OrderCancelled("1", "rain")))
    settle()
    cancelled, made = rows("FROM orders ORDER BY type")
    assert [made[name] for name in ("channel", "paid", "tags", "lines", "stock")] == [
        "web",
        False,
        [],
        [],
        {},
    ]
    assert [cancelled[name] for name in ("channel", "paid", "tags", "reason")] == [
        None,
        None,
        None,
        "rain",
    ]


def test_personal_fields_have_no_column(rows):
    assert "greeting" not in {row["column_name"] for row in rows("DESCRIBE orders")}


def test_an_empty_table_has_all_columns_with_their_types(rows):
    types = {row["column_name"]: row["column_type"] for row in rows("DESCRIBE orders")}
    assert types["time"] == "TIMESTAMP WITH TIME ZONE"
    assert types["date"] == "DATE"
    assert types["lines"] == "STRUCT(article VARCHAR, pieces BIGINT)[]"
    assert types["stock"] == "MAP(VARCHAR, BIGINT)"
    assert types["reward"] == "VARCHAR"
    assert rows("SELECT count(*) AS n, sum(weight_kg) AS kg FROM orders") == [{"n": 0, "kg": None}]


@pytest.mark.parametrize("topic", [t.name for t in PLATFORM.topics.values() if t.archived])
def test_every_topic_of_the_platform_has_a_table(topic):
    assert "SELECT" in rows_sql(PLATFORM, topic)


def catalog_with(annotation, default=msgspec.NODEFAULT, name="extra"):
    """A catalog of one type that has such a field."""
    namespace = {
        "__doc__": "Something happened.",
        "__annotations__": {"key": str, name: annotation},
        "__module__": __name__,
    }
    if default is not msgspec.NODEFAULT:
        namespace[name] = default
    data = event("thing.happened", topic="things", key="key")(
        type(Data)("Thing", (Data,), namespace)
    )
    return Catalog([event_type_of(data)])


@pytest.mark.parametrize("name", ["month", "bucket", "appended_ms"])
def test_a_field_that_is_called_like_a_column_is_refused(name):
    with refused(ColumnConflict, f"thing.happened.{name}", "differently"):
        rows_sql(catalog_with(str, name=name), "things")


def test_a_default_that_could_be_mistaken_for_none_is_refused():
    with refused(ColumnConflict, "thing.happened.extra", "choose one"):
        rows_sql(catalog_with(str | None, "x"), "things")


class Sparse(msgspec.Struct, omit_defaults=True):
    level: int = 3


class Tree(msgspec.Struct):
    name: str
    children: list["Tree"] = []


def test_a_struct_whose_defaults_are_not_written_is_refused():
    with refused(ColumnConflict, "Sparse", "level"):
        rows_sql(catalog_with(list[Sparse]), "things")


def test_a_struct_within_itself_is_json(lake, log):
    assert '"extra": "STRUCT(\\"name\\" VARCHAR, \\"children\\" JSON[])"' in rows_sql(
        catalog_with(Tree), "things"
    )


def test_a_file_of_the_lake_has_the_types_of_the_table(lake, log, rows):
    append_orders(log, value(FULL))
    archive(lake, log)
    (relation,) = lake.table("orders").relations()
    in_files = rows(f"DESCRIBE FROM {relation}")
    assert in_files == rows("DESCRIBE orders")
