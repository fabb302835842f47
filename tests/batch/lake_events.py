"""Event types of a shop, and a log full of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal

import msgspec
import pytest

from connectors.log.sqlite import SqliteLog
from schemas.catalog import Catalog
from schemas.envelope import encode
from schemas.event import Data, event, event_type_of
from schemas.fields import Personal, Subject
from schemas.ids import uuid7
from schemas.partition import partition_of
from schemas.topic import Topic
from streams.log import Entry

ORDERS = Topic("orders", partitions=2, deduplicated=True)
RETURNS = Topic("returns", partitions=1, retention_days=90)
CARTS = Topic("carts", partitions=1, archived=False)

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Line(msgspec.Struct):
    article: str
    pieces: int = 1


@event("order.placed", topic=ORDERS, key="order")
class OrderPlaced(Data):
    """Somebody ordered something."""

    order: str
    customer: Subject | None = None
    channel: str = "web"
    paid: bool = False
    weight_kg: float | None = None
    deliver_at: datetime | None = None
    size: Size | None = None
    urgency: Literal[1, 2, 3] | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    lines: list[Line] = msgspec.field(default_factory=list)
    stock: dict[str, int] = msgspec.field(default_factory=dict)
    reward: int | str | None = None
    greeting: Personal[str] | None = None


@event("order.cancelled", topic=ORDERS, key="order")
class OrderCancelled(Data):
    """An order will not be delivered."""

    order: str
    reason: str
    paid: bool | None = None


@event("return.announced", topic=RETURNS, key="order")
class ReturnAnnounced(Data):
    """Something comes back."""

    order: str


@event("cart.filled", topic=CARTS, key="cart")
class CartFilled(Data):
    """Something was put into a cart."""

    cart: str


CATALOG = Catalog(map(event_type_of, (OrderPlaced, OrderCancelled, ReturnAnnounced, CartFilled)))


def later_catalog() -> tuple[Catalog, Any]:
    """The catalog after an upgrade: the same type with more fields, and one type more."""

    @event("order.placed", topic=CATALOG.topics["orders"], key="order")
    class Placed(OrderPlaced):
        """Somebody ordered something."""

        gift: bool = False
        colour: str | None = None

    return Catalog([event_type_of(Placed), *list(CATALOG.types.values())[1:]]), Placed


def value(data: Data, catalog: Catalog = CATALOG, **envelope: Any) -> bytes:
    """A record's value."""
    fields = {"id": uuid7(0), "source": "test", "time": NOON, "tenant": "acme"} | envelope
    return encode(catalog.envelope(type(data))(specversion="1.0", data=data, **fields))


def placed(n: int, **envelope: Any) -> bytes:
    """The n-th order, a second after the one before, as a client posts it."""
    fields = {"id": f"id-{n}", "source": "client/till", "time": NOON + timedelta(seconds=n)}
    fields |= envelope
    return value(OrderPlaced(f"order {n}"), **fields)


def order_of(record: bytes) -> str:
    return str(msgspec.json.decode(record)["data"]["order"])


def append_orders(log: SqliteLog, *values: bytes) -> None:
    """Append orders, each to its partition."""
    log.append(
        [
            Entry("orders", partition_of(order_of(value).encode(), 2), None, value)
            for value in values
        ]
    ).result()


def append(log: SqliteLog, topic: str, partition: int, *values: bytes) -> None:
    log.append([Entry(topic, partition, None, value) for value in values]).result()


@contextmanager
def refused(error: type[Exception], *words: str) -> Iterator[None]:
    """An error of that kind is raised, and says all of these words."""
    with pytest.raises(error) as raised:
        yield
    for word in words:
        assert word in str(raised.value)
