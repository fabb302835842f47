import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.vault.visitors import visitor_hasher

DAY_S = 86_400


@pytest.fixture
def today(desk) -> date:
    return date(1970, 1, 1) + timedelta(days=desk.clock.now_s // DAY_S)


def test_a_visitor_has_one_hash_a_day_in_every_process(vault, desk, today):
    hashed = vault.visitor(today, "203.0.113.7", "Firefox")
    assert re.fullmatch("[0-9a-f]{16}", hashed)
    assert vault.visitor(today, "203.0.113.7", "Firefox") == hashed
    assert desk.open().visitor(today, "203.0.113.7", "Firefox") == hashed


def test_visitors_and_days_are_told_apart(vault, today):
    yesterday = today - timedelta(days=1)
    hashes = {
        vault.visitor(today, "ab", "c"),
        vault.visitor(today, "a", "bc"),
        vault.visitor(today, "abc"),
        vault.visitor(yesterday, "ab", "c"),
    }
    assert len(hashes) == 4


@given(one=st.lists(st.text()), other=st.lists(st.text()))
def test_other_traits_have_another_hash(one, other):
    hasher, day = visitor_hasher(), date(2026, 7, 1)
    assert (hasher(day, *one) == hasher(day, *other)) == (one == other)


def test_a_salt_outlives_its_day_by_the_grace_and_is_then_gone_from_disk(vault, desk, today):
    hashed = vault.visitor(today, "somebody")
    [salt] = desk.column("SELECT wrapped FROM salt")
    desk.clock.now_s += DAY_S
    assert vault.visitor(today, "somebody") == hashed
    assert desk.open().visitor(today, "somebody") == hashed
    assert salt in desk.bytes_on_disk()
    desk.clock.now_s += DAY_S
    assert vault.drop_expired_salts() == 1
    assert salt not in desk.bytes_on_disk()
    assert vault.visitor(today, "somebody") != hashed


def test_the_first_visitor_of_a_day_lets_old_salts_go(vault, desk, today):
    vault.visitor(today, "somebody")
    [salt] = desk.column("SELECT wrapped FROM salt")
    assert salt in desk.bytes_on_disk()
    desk.clock.now_s += 2 * DAY_S
    vault.visitor(today + timedelta(days=2), "somebody")
    assert salt not in desk.bytes_on_disk()


def test_opening_the_vault_lets_old_salts_go(vault, desk, today):
    vault.visitor(today, "somebody")
    desk.close()
    desk.clock.now_s += 2 * DAY_S
    desk.open()
    assert desk.column("SELECT count(*) FROM salt") == [0]


@pytest.mark.parametrize("days", [-400, -2, 2, 400])
def test_events_far_from_today_are_hashed_with_a_salt_that_is_never_stored(
    vault, desk, today, days
):
    far = today + timedelta(days=days)
    hashed = vault.visitor(far, "somebody")
    assert vault.visitor(far, "somebody") == hashed
    assert desk.open().visitor(far, "somebody") != hashed
    assert desk.column("SELECT count(*) FROM salt") == [0]


def test_a_clock_that_steps_back_over_midnight_changes_no_hash(vault, desk, today):
    tomorrow = today + timedelta(days=1)
    desk.clock.now_s = (desk.clock.now_s // DAY_S + 1) * DAY_S - 0.5
    before = vault.visitor(today, "somebody"), vault.visitor(tomorrow, "somebody")
    desk.clock.now_s += 1
    assert (vault.visitor(today, "somebody"), vault.visitor(tomorrow, "somebody")) == before
    desk.clock.now_s -= 1
    assert (vault.visitor(today, "somebody"), vault.visitor(tomorrow, "somebody")) == before


def test_a_clock_that_steps_back_by_days_does_not_bring_back_a_salt(vault, desk, today):
    hashed = vault.visitor(today, "somebody")
    desk.clock.now_s += 9 * DAY_S
    vault.visitor(today + timedelta(days=9), "somebody")
    desk.clock.now_s -= 9 * DAY_S
    anew = vault.visitor(today, "somebody")
    assert anew != hashed
    assert desk.open().visitor(today, "somebody") == anew


def test_imports_hash_with_salts_of_their_own():
    one, other, day = visitor_hasher(), visitor_hasher(), date(2015, 5, 17)
    assert one(day, "somebody") == one(day, "somebody")
    assert one(day, "somebody") != other(day, "somebody")
    assert one(day, "somebody") != one(date(2015, 5, 18), "somebody")
