import asyncio
import threading

import pytest

from connectors.gateway.links import passwords as module
from connectors.gateway.links.passwords import Passwords, Tries
from connectors.gateway.problems import Problem

V4 = "198.51.100.7"


@pytest.fixture
def passwords():
    made = Passwords()
    yield made
    made.close()


def test_a_password_is_told_from_another(passwords):
    async def run():
        hashed = await passwords.hash("open sesame")
        wrong = [await passwords.verify(hashed, text) for text in ("", "open sesame ")]
        return hashed, await passwords.verify(hashed, "open sesame"), wrong

    hashed, right, wrong = asyncio.run(run())
    assert hashed.startswith("$argon2id$")
    assert right
    assert not any(wrong)


def test_no_password_is_that_of_a_hash_that_is_none(passwords):
    assert not asyncio.run(passwords.verify("no hash", "open sesame"))


def test_the_loop_goes_on_and_no_more_wait_than_there_is_room_for(passwords, monkeypatch):
    monkeypatch.setattr(module, "_MAX_WAITING", 2)
    release = threading.Event()
    monkeypatch.setattr(passwords._hasher.__class__, "hash", lambda self, text: release.wait(5))

    async def run():
        two = [asyncio.create_task(passwords.hash("a")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await passwords.hash("a")
        release.set()
        return await asyncio.gather(*two), refused.value

    done, refused = asyncio.run(run())
    assert done == [True, True]
    assert refused.status == 503
    assert "Retry-After" in refused.headers


def test_there_are_three_tries_in_any_minute():
    tries = Tries()
    taken = [tries.take("a", V4, now_s) for now_s in (0, 10, 20, 30, 59.5, 60, 61, 70)]
    assert taken == [0, 0, 0, 30, 0.5, 0, 9, 0]


def test_only_wrong_tries_are_used_up():
    tries = Tries()
    for now_s in range(10):
        assert tries.take("a", V4, now_s) == 0
        tries.give_back("a", V4)
    assert [tries.take("a", V4, 10) > 0 for _ in range(4)] == [False, False, False, True]


def test_tries_are_counted_for_each_link_and_client():
    tries = Tries()
    for _ in range(3):
        tries.take("a", V4, 0)
    assert tries.take("a", V4, 0) > 0
    assert tries.take("a", f"::ffff:{V4}", 0) > 0
    assert tries.take("b", V4, 0) == 0
    assert tries.take("a", "198.51.100.8", 0) == 0


def test_a_network_of_ipv6_is_one_client():
    tries = Tries()
    for host in ("1", "2", "a:b:c"):
        assert tries.take("a", f"2001:db8:1:2::{host}", 0) == 0
    assert tries.take("a", "2001:db8:1:2::ffff", 0) > 0
    assert tries.take("a", "2001:db8:1:3::1", 0) == 0


def test_what_is_no_address_has_tries_too():
    tries = Tries()
    assert [tries.take("a", "", 0) > 0 for _ in range(4)] == [False, False, False, True]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MAX_TRIED", 10)
    tries = Tries()
    for i in range(100):
        tries.take("a", f"client{i}", 0)
    assert len(tries._tries) == 10
