from typing import Any

import msgspec
import pytest
from sample_events import CATALOG, declared

from schemas.catalog import Catalog
from schemas.datamap import DataMap, Store, Unplaced, check
from schemas.fields import Mention, Personal, Subject
from schemas.topic import Topic

NOTE = (Personal[str] | None, None)


def store(fields: dict[str, Any], sealed: str = "", plain_index: str = "") -> Store:
    return Store(
        kind="view",
        name="ballot",
        fields=fields,
        sealed=frozenset(sealed.split()),
        plain_index=frozenset(plain_index.split()),
    )


def test_event_types_that_name_persons_have_a_place():
    rows = {row.name: row for row in DataMap(CATALOG).rows}
    assert set(rows) == {"poll.opened", "poll.voted", "person.forgotten"}
    voted = rows["poll.voted"]
    assert (voted.persons, voted.personal) == (("voter",), ("comment",))
    assert (voted.topic, voted.lake_table, voted.retention_days) == ("polls", "polls", 90)
    assert voted.protection == "sealed"
    assert voted.erasure == (
        "the subject's key is destroyed, the topic's segments are rewritten, "
        "the lake's bucket of the subject is rewritten"
    )
    opened = rows["poll.opened"]
    assert (opened.persons, opened.protection) == (("invited",), "pseudonym")
    assert "table is rewritten" in opened.erasure
    assert rows["person.forgotten"].erasure == "none: it is the record of the erasure itself"


def test_a_topic_that_is_not_archived_has_no_table():
    inbox = Topic("inbox", archived=False, retention_days=1)
    fields = {"key": str, "who": Subject, "text": NOTE}
    data_map = DataMap(Catalog([declared("post.sent", fields, topic=inbox)]))
    (row,) = data_map.rows
    assert (row.lake_table, row.retention_days) == (None, 1)
    assert "lake" not in row.erasure
    assert data_map.unplaced() == []


def test_a_personal_field_that_nothing_ever_removes_is_unplaced():
    forever = Topic("forever", archived=False)
    fields = {"key": str, "who": Subject, "text": NOTE}
    (found,) = check(Catalog([declared("post.sent", fields, topic=forever)]))
    assert (found.name, found.field) == ("post.sent", "text")
    assert str(found) == (
        "post.sent.text: topic forever is neither archived nor has it a retention: "
        "give it one of them"
    )


def test_pseudonyms_alone_need_no_such_place():
    forever = Topic("forever", archived=False)
    assert check(Catalog([declared("post.sent", {"key": Subject}, topic=forever)])) == []


class Ballot(msgspec.Struct):
    voter: Subject
    comment: Personal[str] | None


def test_stores_have_a_row_for_each_protection():
    data_map = DataMap(
        Catalog([]),
        [
            store({"who": Subject, "a": Personal[str], "b": Personal[str]}, "a", "b"),
            Store(kind="state", name="polls.choice", fields={"key": tuple[str, Subject]}),
            Store(kind="state", name="polls.votes", fields={"key": str, "value": int}),
        ],
    )
    assert data_map.unplaced() == []
    assert [(row.kind, row.name, row.personal, row.protection) for row in data_map.rows] == [
        ("view", "ballot", ("a",), "sealed"),
        ("view", "ballot", ("b",), "plain index"),
        ("state", "polls.choice", (), "pseudonym"),
    ]
    assert "physically" in data_map.rows[1].erasure


def test_what_a_struct_in_a_state_table_holds_counts():
    fields = {"key": str, "value": Ballot}
    (found,) = check(Catalog([]), [store(fields)])
    assert (found.field, found.message[:18]) == ("value", "lies in the clear:")
    assert check(Catalog([]), [store(fields, sealed="value")]) == []


UNPLACED = {
    "in the clear": (store({"who": Subject, "a": Personal[str]}), "lies in the clear"),
    "both": (store({"who": Subject, "a": Personal[str]}, "a", "a"), "decide"),
    "sealed for nobody": (store({"a": Personal[str]}, "a"), "no field of its row is the Subject"),
    "sealed for a mention": (
        store({"who": Mention, "a": Personal[str]}, "a"),
        "no field of its row is the Subject",
    ),
    "indexed, not to be found": (store({"a": Personal[str]}, "", "a"), "could find it"),
    "no field": (store({"who": Subject}, "a"), "is not Personal"),
    "no personal field": (store({"a": str, "who": Subject}, "", "a"), "is not Personal"),
}


@pytest.mark.parametrize(("described", "message"), UNPLACED.values(), ids=UNPLACED)
def test_a_field_of_a_store_is_unplaced_if_it_is(described: Store, message: str):
    (found,) = check(Catalog([]), [described])
    assert isinstance(found, Unplaced)
    assert (found.name, found.field) == ("ballot", "a")
    assert message in found.message


def test_an_index_over_plain_text_may_name_whom_it_mentions():
    assert check(Catalog([]), [store({"who": Mention, "a": Personal[str]}, "", "a")]) == []


def test_rows_are_plain_json():
    row = msgspec.json.decode(msgspec.json.encode(DataMap(CATALOG).rows))[0]
    assert row["name"] == "poll.opened"
    assert row["persons"] == ["invited"]
