import asyncio

import pytest
from redirecting import CATALOG, FOLDS, KEYS, TARGET, CountingStore, eventually, platform_in

from connectors.gateway.links import follower as module
from connectors.gateway.links.cache import LinkCache
from connectors.gateway.links.follower import Follower, KnownKeys
from connectors.store.sqlite import SqliteViews
from schemas.links import BlockGranted, LinkChanged, LinkDeleted, LinkRequested, LinkUsedUp
from schemas.privacy import SubjectErased
from streams.errors import NotYetApplied
from streams.links.blocks import Blocks
from streams.links.views import Link

TIMEOUT_S = 5.0
FAR = 10**12  # a counter of no block


class Recorder(LinkCache):
    """Remembers what was dropped."""

    def __init__(self):
        super().__init__(10, self._never)
        self.dropped: set[str] = set()

    async def _never(self, key):
        raise AssertionError("nobody asked")

    def drop(self, keys):
        self.dropped.update(keys)


class Following:
    """A follower of its own, with what it asks of the store and drops."""

    def __init__(self, platform, blocks: Blocks):
        self.store = CountingStore(SqliteViews(platform.log, FOLDS))
        self.cache = Recorder()
        known = KnownKeys(KEYS, blocks)
        self.follower = Follower(platform.log, self.store, CATALOG, known, self.cache)
        self._loop = platform.loop
        self._task = None

    def start(self, caught_up: bool = True):
        async def begin():
            self._task = asyncio.create_task(self.follower.run())
            if caught_up:
                await self.follower.caught_up.wait()

        self._loop.run(begin())

    def stop(self):
        async def end():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

        if self._task is not None:
            self._loop.run(end())

    def find(self, key: str, timeout_s: float = TIMEOUT_S) -> Link | None:
        return self._loop.run(self.follower.find(key, timeout_s))

    def asks_for(self, key: str) -> bool:
        """Whether the store is asked for a key."""
        self.find(key)
        return key in self.store.lookups


@pytest.fixture
def platform(tmp_path):
    with platform_in(tmp_path) as platform:
        yield platform


@pytest.fixture
def follow(platform):
    made = []

    def make(blocks: Blocks | None = None, *, caught_up: bool = True, start: bool = True):
        following = Following(platform, blocks or Blocks(0))
        made.append(following)
        if start:
            following.start(caught_up)
        return following

    yield make
    for following in made:
        following.stop()


def test_a_key_of_no_granted_block_is_unknown_without_the_store(platform, follow):
    following = follow()
    assert not following.asks_for(KEYS.key(0))
    platform.append(BlockGranted("a"))
    assert following.asks_for(KEYS.key(0))
    assert following.asks_for(KEYS.key(999))
    assert not following.asks_for(KEYS.key(1_000))


def test_keys_below_the_base_may_exist(follow):
    following = follow(Blocks(0, base=2))
    assert following.asks_for(KEYS.key(1_999))
    assert not following.asks_for(KEYS.key(2_000))


def test_aliases_are_known_whether_claimed_before_or_after_the_gateway_started(
    platform, follow, monkeypatch
):
    monkeypatch.setattr(module, "_ALIASES_A_PAGE", 2)
    before = [f"before{i}" for i in range(7)]
    for alias in before:
        platform.make(alias)
    following = follow()
    platform.append(LinkRequested("after", TARGET, is_alias=True))
    assert all(following.asks_for(alias) for alias in [*before, "after"])
    assert sum(following.asks_for(f"never{i}") for i in range(100)) < 10


def test_an_alias_that_looks_like_a_generated_key_is_found(platform, follow):
    alias = KEYS.key(FAR)
    following = follow()
    assert not following.asks_for(alias)
    platform.make(alias)
    assert following.find(alias).long_url == TARGET


def test_a_link_that_the_fold_has_not_got_to_is_waited_for(platform, follow):
    following = follow()
    platform.folds_rest = True
    platform.append(LinkRequested("fresh", TARGET, is_alias=True))
    with pytest.raises(NotYetApplied):
        following.find("fresh", timeout_s=0.05)
    asked = asyncio.run_coroutine_threadsafe(
        following.follower.find("fresh", TIMEOUT_S), platform.loop._loop
    )
    platform.folds_rest = False
    assert asked.result(timeout=TIMEOUT_S).long_url == TARGET


def test_unknown_keys_are_not_waited_for_while_the_fold_lags(platform, follow):
    following = follow()
    platform.folds_rest = True
    platform.append(*(LinkRequested(f"fresh{i}", TARGET, is_alias=True) for i in range(100)))
    assert following.find(KEYS.key(FAR), timeout_s=0.0) is None
    assert following.find("surely-unknown-alias", timeout_s=0.0) is None


def test_a_gateway_far_behind_asks_the_store_at_the_log_s_end(platform, follow, monkeypatch):
    monkeypatch.setattr(module, "_MAX_BEHIND", 3)
    following = follow()
    following.stop()  # following, while requests still come
    positions = platform.append(
        *(LinkRequested(f"alias{i}", TARGET, is_alias=True) for i in range(100))
    )
    platform.applied(*positions)
    assert following.find("alias7").long_url == TARGET
    assert following.asks_for(KEYS.key(FAR))


def test_before_the_aliases_are_known_the_store_is_asked(platform, follow):
    platform.folds_rest = True
    platform.append(LinkRequested("alias", TARGET, is_alias=True))
    following = follow(caught_up=False)
    with pytest.raises(NotYetApplied):
        following.find("alias", timeout_s=0.05)
    assert not following.follower.caught_up.is_set()
    platform.folds_rest = False
    assert following.find("alias").long_url == TARGET
    eventually(following.follower.caught_up.is_set)


def test_what_changes_is_dropped_once_the_view_shows_it(platform, follow):
    for key in ("changed", "deleted", "used", "kept"):
        platform.make(key, max_clicks=1)
    following = follow()
    platform.folds_rest = True
    platform.append(LinkChanged("changed", TARGET), LinkDeleted("deleted"), LinkUsedUp("used", 1))
    platform.append(LinkRequested("new", TARGET, is_alias=True))
    for key in ("changed", "deleted", "used"):
        following.find(key)  # reads what is new in its partition
    assert not following.cache.dropped
    platform.folds_rest = False
    eventually(lambda: following.cache.dropped == {"changed", "deleted", "used"}, timeout_s=1)


def test_erasures_among_the_links_do_no_harm(platform, follow):
    following = follow()
    subject = platform.vault.pseudonym("acme", "ann")
    platform.append(SubjectErased(subject))
    entry = platform.sealer.entry
    for partition in range(4):
        origin_entry = entry(SubjectErased(subject), platform.origin(), "erasure")
        platform.log.append([origin_entry._replace(topic="links", partition=partition)]).result(5)
    platform.make("later")
    assert following.find("later").long_url == TARGET


def test_a_store_that_fails_is_tried_again(platform, follow, monkeypatch):
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    following = follow(start=False)
    failures = [OSError("gone"), OSError("gone")]

    async def slice_(*arguments):
        if failures:
            raise failures.pop()
        return await SqliteViews.slice(following.store._store, *arguments)

    following.store.slice = slice_
    following.start()
    assert not failures
