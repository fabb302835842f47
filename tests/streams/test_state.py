from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import Mention, Subject
from streams.cursor import Cursor
from streams.errors import FoldError
from streams.state import GlobalTable, Table, Tables

ANN, BOB = Subject("ann"), Subject("bob")


class Person(msgspec.Struct, frozen=True):
    name: Subject
    friends: tuple[Mention, ...] = ()
    boss: Mention | None = None


class State(Tables):
    counts: Table[str, int]
    votes: Table[tuple[str, Subject], int]
    owners: Table[str, Subject]
    persons: Table[int, Person]
    shared: GlobalTable[str, int]


@pytest.fixture
def cursor() -> Cursor:
    cursor = Cursor(0)
    cursor.enter("acme")
    return cursor


@pytest.fixture
def state(cursor: Cursor) -> State:
    return State(cursor)


def stored(state: State) -> list[tuple[str, bytes, bytes | None]]:
    return [tuple(change) for change in state.take()]


def reopened(changes: list[tuple[str, bytes, Any]], tenant: str = "acme") -> State:
    cursor = Cursor(0)
    cursor.enter(tenant)
    state = State(cursor)
    for table, key, value in changes:
        state.load(table, [(key, value)])
    return state


def test_a_table_is_a_dict(state: State):
    counts = state.counts
    counts["a"] = 1
    assert counts["a"] == 1
    assert "a" in counts
    assert counts.get("b") is None
    assert counts.get("b", 0) == 0
    assert counts.pop("a") == 1
    assert counts.pop("a", 7) == 7
    with pytest.raises(KeyError, match="a"):
        counts["a"]
    with pytest.raises(KeyError, match="a"):
        del counts["a"]


def test_tenants_do_not_see_each_other(cursor: Cursor, state: State):
    state.counts["a"] = 1
    cursor.enter("globex")
    assert "a" not in state.counts
    state.counts["a"] = 2
    cursor.enter("acme")
    assert state.counts["a"] == 1
    assert sorted(state.counts.items()) == [("acme", "a", 1), ("globex", "a", 2)]
    assert len(state.counts) == 2


def test_global_tables_are_everybody_s(cursor: Cursor, state: State):
    state.shared["a"] = 1
    cursor.enter("globex")
    assert state.shared["a"] == 1


def test_without_a_current_record_a_tenant_s_rows_cannot_be_touched(cursor: Cursor, state: State):
    cursor.enter(None)
    for touch in (
        lambda: state.counts["a"],
        lambda: state.counts.get("a"),
        lambda: "a" in state.counts,
        lambda: state.counts.pop("a"),
        lambda: state.counts.__setitem__("a", 1),
        lambda: state.counts.__delitem__("a"),
        lambda: state.owners.pop_subject(ANN),
    ):
        with pytest.raises(FoldError, match="no current record"):
            touch()


def test_what_was_written_is_undone_up_to_what_was_accepted(cursor: Cursor, state: State):
    state.counts["kept"] = 1
    state.counts["gone"] = 1
    state.accept()
    state.counts["kept"] = 2
    state.counts["new"] = 1
    del state.counts["gone"]
    cursor.enter("globex")
    state.counts["kept"] = 3
    assert state.written
    state.rollback()
    assert not state.written
    assert sorted(state.counts.items()) == [("acme", "gone", 1), ("acme", "kept", 1)]


def test_what_was_undone_is_not_stored(state: State):
    state.counts["a"] = 1
    state.rollback()
    state.accept()
    assert stored(state) == []


def test_what_is_stored_is_what_is_loaded(cursor: Cursor, state: State):
    state.counts["a"] = 1
    state.votes["lunch", ANN] = 2
    state.persons[1] = Person(ANN, (Mention("bob"),), Mention("eve"))
    state.shared["s"] = 3
    state.accept()
    found = reopened(stored(state))
    assert found.counts["a"] == 1
    assert found.votes["lunch", ANN] == 2
    assert found.persons[1] == Person(ANN, (Mention("bob"),), Mention("eve"))
    assert found.shared["s"] == 3
    assert stored(state) == []


def test_deleted_rows_are_stored_as_deleted(state: State):
    state.counts["a"] = 1
    state.accept()
    ((_, key, _),) = stored(state)
    del state.counts["a"]
    state.accept()
    assert stored(state) == [("counts", key, None)]


def test_rows_of_a_table_that_is_no_more_are_ignored(state: State):
    state.load("gone", [(b"key", b"value")])


def test_what_cannot_be_stored_is_not_accepted(state: State):
    state.shared["fine"] = 1
    state.counts["huge"] = 1 << 70
    with pytest.raises(OverflowError):
        state.accept()
    state.rollback()
    state.accept()
    assert stored(state) == []


def test_subjects_are_found_in_keys_values_and_structs(state: State):
    state.votes["lunch", ANN] = 1
    state.votes["lunch", BOB] = 2
    state.owners["house"] = ANN
    state.persons[1] = Person(ANN)
    state.persons[2] = Person(BOB, friends=(Mention("eve"), Mention("ann")))
    state.persons[3] = Person(BOB, boss=Mention("ann"))
    state.persons[4] = Person(BOB)
    state.accept()
    assert state.votes.pop_subject(ANN) == [(("lunch", ANN), 1)]
    assert state.owners.pop_subject(ANN) == [("house", ANN)]
    assert [key for key, _ in state.persons.pop_subject(ANN)] == [1, 2, 3]
    assert [key for _, key, _ in state.persons.items()] == [4]
    assert state.votes.pop_subject(ANN) == []


def test_subjects_are_found_in_what_has_just_been_written_or_changed(state: State):
    state.owners["a"] = ANN
    state.owners["b"] = BOB
    state.owners["c"] = ANN
    state.accept()
    state.owners["a"] = BOB
    state.owners["b"] = ANN
    del state.owners["c"]
    state.owners["d"] = ANN
    assert state.owners.pop_subject(ANN) == [("b", ANN), ("d", ANN)]
    state.accept()
    assert list(state.owners.items()) == [("acme", "a", BOB)]
    assert state.owners.pop_subject(BOB) == [("a", BOB)]


def test_subjects_are_found_in_what_was_loaded_and_in_what_was_undone(state: State):
    state.owners["a"] = ANN
    state.accept()
    found = reopened(stored(state))
    found.owners.pop_subject(ANN)
    found.rollback()
    assert found.owners.pop_subject(ANN) == [("a", ANN)]


def test_a_subject_is_one_of_its_tenant(cursor: Cursor, state: State):
    state.owners["a"] = ANN
    state.accept()
    cursor.enter("globex")
    assert state.owners.pop_subject(ANN) == []


def test_rows_of_a_subject_come_in_one_order_whatever_came_first(cursor: Cursor):
    orders = []
    for keys in ("abcdefgh", "hgfedcba"):
        state = State(cursor)
        for key in keys:
            state.owners[key] = ANN
        orders.append(state.owners.pop_subject(ANN))
    assert orders[0] == orders[1]


def test_a_table_without_subjects_says_so(state: State):
    with pytest.raises(FoldError, match="counts"):
        state.counts.pop_subject(ANN)


def test_state_is_made_of_tables(cursor: Cursor):
    class Wrong(Tables):
        counts: dict[str, int]

    with pytest.raises(FoldError, match="counts"):
        Wrong(cursor)


@dataclass
class Model:
    """What a table should be: a dict per tenant, and the one that was accepted last."""

    now: dict[tuple[str, str], str]
    accepted: dict[tuple[str, str], str]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("abc"), st.sampled_from([ANN, BOB])),
        st.tuples(st.just("pop"), st.sampled_from("abc")),
        st.tuples(st.just("pop_subject"), st.sampled_from([ANN, BOB])),
        st.tuples(st.just("enter"), st.sampled_from(["acme", "globex"])),
        st.tuples(st.sampled_from(["accept", "rollback", "reopen"])),
    ),
    max_size=40,
)


@given(OPERATIONS)
def test_a_table_is_a_dict_per_tenant_whatever_is_done_to_it(operations: list[tuple[Any, ...]]):
    cursor = Cursor(0)
    tenant = "acme"
    cursor.enter(tenant)
    state = State(cursor)
    model = Model({}, {})
    kept: dict[tuple[str, bytes], bytes | None] = {}
    for operation, *arguments in operations:
        if operation == "set":
            key, value = arguments
            state.owners[key] = model.now[tenant, key] = value
        elif operation == "pop":
            assert state.owners.pop(arguments[0]) == model.now.pop((tenant, arguments[0]), None)
        elif operation == "pop_subject":
            found = [k for k, v in model.now.items() if k[0] == tenant and v == arguments[0]]
            for place in found:
                del model.now[place]
            assert [k for k, _ in state.owners.pop_subject(arguments[0])] == sorted(
                k for _, k in found
            )
        elif operation == "enter":
            (tenant,) = arguments
            cursor.enter(tenant)
        elif operation == "rollback":
            state.rollback()
            model.now = dict(model.accepted)
        else:
            state.accept()
            model.accepted = dict(model.now)
            kept |= {(table, key): value for table, key, value in stored(state)}
            if operation == "reopen":
                cursor = Cursor(0)
                cursor.enter(tenant)
                state = State(cursor)
                for (table, key), value in kept.items():
                    if value is not None:
                        state.load(table, [(key, value)])
        assert {(t, k): v for t, k, v in state.owners.items()} == model.now
