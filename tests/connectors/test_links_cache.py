import asyncio

import pytest

from connectors.gateway.links.cache import CachedLink, LinkCache
from connectors.gateway.links.encoding import ClickedLink
from streams.links.rules import LinkTerms
from streams.links.views import Link

NOW_MS = 1_000_000


def made(key: str, until_ms: int = NOW_MS + 1_000) -> CachedLink:
    link = Link(
        link=key,
        tenant="acme",
        claim="c",
        revision="c",
        long_url="https://example.com/",
        terms=LinkTerms(),
        created_ms=0,
    )
    return CachedLink(link, until_ms, ClickedLink(key, "acme", 0, None, ""))


class Store:
    """Answers when it is told to."""

    def __init__(self, **links: CachedLink):
        self.links = links
        self.asked: list[str] = []
        self.held: list[asyncio.Future[None]] = []
        self.holds = False

    async def load(self, key: str) -> CachedLink | None:
        self.asked.append(key)
        found = self.links.get(key)
        if self.holds:
            held = asyncio.get_running_loop().create_future()
            self.held.append(held)
            await held
        return found

    async def reached(self, questions: int) -> None:
        while len(self.asked) < questions:
            await asyncio.sleep(0)

    def answer(self) -> None:
        for held in self.held:
            if not held.done():
                held.set_result(None)


def test_what_is_known_is_not_asked_for_again():
    store = Store(a=made("a"))
    cache = LinkCache(10, store.load)

    async def run():
        return [await cache.get("a", NOW_MS) for _ in range(3)]

    assert asyncio.run(run()) == [store.links["a"]] * 3
    assert store.asked == ["a"]
    assert cache.peek(b"/a", NOW_MS) is store.links["a"]
    assert cache.peek(b"/b", NOW_MS) is None


def test_what_is_missing_is_asked_for_every_time():
    store = Store()
    cache = LinkCache(10, store.load)

    async def run():
        return [await cache.get("a", NOW_MS) for _ in range(2)]

    assert asyncio.run(run()) == [None, None]
    assert store.asked == ["a", "a"]


def test_a_thousand_who_miss_at_once_ask_once():
    store = Store(a=made("a"))
    store.holds = True
    cache = LinkCache(10, store.load)

    async def run():
        askers = [asyncio.create_task(cache.get("a", NOW_MS)) for _ in range(1_000)]
        await store.reached(1)
        await asyncio.sleep(0)
        store.answer()
        return await asyncio.gather(*askers)

    assert set(map(id, asyncio.run(run()))) == {id(store.links["a"])}
    assert store.asked == ["a"]


def test_who_asks_after_a_link_was_made_is_not_told_what_was_true_before():
    store = Store()
    store.holds = True
    cache = LinkCache(10, store.load)

    async def run():
        early = asyncio.create_task(cache.get("a", NOW_MS))
        await store.reached(1)
        store.links["a"] = made("a")
        late = [asyncio.create_task(cache.get("a", NOW_MS)) for _ in range(100)]
        await asyncio.sleep(0)
        store.answer()
        await store.reached(2)
        store.answer()
        return await early, await asyncio.gather(*late)

    early, late = asyncio.run(run())
    assert early is None
    assert late == [store.links["a"]] * 100
    assert store.asked == ["a", "a"]


def test_a_link_that_changed_is_loaded_anew():
    store = Store(a=made("a"), b=made("b"))
    cache = LinkCache(10, store.load)

    async def run():
        await cache.get("a", NOW_MS)
        await cache.get("b", NOW_MS)
        cache.drop(["a", "never heard of"])
        await cache.get("a", NOW_MS)
        await cache.get("b", NOW_MS)

    asyncio.run(run())
    assert store.asked == ["a", "b", "a"]


def test_a_link_that_changes_while_it_is_loaded_is_not_kept_as_it_was():
    old, new = made("a"), made("a")
    store = Store(a=old)
    store.holds = True
    cache = LinkCache(10, store.load)

    async def run():
        first = asyncio.create_task(cache.get("a", NOW_MS))
        await store.reached(1)
        store.links["a"] = new
        cache.drop(["a"])
        second = asyncio.create_task(cache.get("a", NOW_MS))
        await store.reached(2)
        store.held[1].set_result(None)
        found = await second
        store.answer()
        return await first, found

    assert asyncio.run(run()) == (old, new)
    assert cache.peek(b"/a", NOW_MS) is new


def test_a_link_is_good_until_it_expires():
    store = Store(a=made("a", until_ms=NOW_MS + 5))
    cache = LinkCache(10, store.load)

    async def run():
        for now_ms in (NOW_MS, NOW_MS + 4, NOW_MS + 5):
            await cache.get("a", now_ms)

    asyncio.run(run())
    assert store.asked == ["a", "a"]
    assert cache.peek(b"/a", NOW_MS + 5) is None


def test_those_that_were_not_followed_for_longest_are_forgotten():
    store = Store(**{key: made(key) for key in "abc"})
    cache = LinkCache(2, store.load)

    async def run():
        await cache.get("a", NOW_MS)
        await cache.get("b", NOW_MS)
        cache.peek(b"/a", NOW_MS)
        await cache.get("c", NOW_MS)

    asyncio.run(run())
    assert [key for key in "abc" if cache.peek(f"/{key}".encode(), NOW_MS)] == ["a", "c"]
    assert len(cache) == 2


def test_a_failure_is_everybody_s_who_waits_and_the_next_one_asks_again():
    async def load(key):
        asked.append(key)
        await asyncio.sleep(0)
        raise OSError("gone")

    asked: list[str] = []
    cache = LinkCache(10, load)

    async def run():
        two = [cache.get("a", NOW_MS) for _ in range(2)]
        found = await asyncio.gather(*two, return_exceptions=True)
        with pytest.raises(OSError, match="gone"):
            await cache.get("a", NOW_MS)
        return found

    assert [type(error) for error in asyncio.run(run())] == [OSError, OSError]
    assert asked == ["a", "a"]


def test_who_hangs_up_spoils_it_for_nobody():
    store = Store(a=made("a"))
    store.holds = True
    cache = LinkCache(10, store.load)

    async def run():
        impatient = asyncio.create_task(cache.get("a", NOW_MS))
        patient = asyncio.create_task(cache.get("a", NOW_MS))
        await store.reached(1)
        impatient.cancel()
        await asyncio.sleep(0)
        store.answer()
        return await patient

    assert asyncio.run(run()) is store.links["a"]
    assert store.asked == ["a"]


def test_everything_can_be_forgotten():
    store = Store(a=made("a"))
    cache = LinkCache(10, store.load)
    asyncio.run(cache.get("a", NOW_MS))
    cache.clear()
    assert len(cache) == 0
