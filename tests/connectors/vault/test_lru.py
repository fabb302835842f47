from connectors.vault.lru import Lru


def filled(capacity: int, *keys: str) -> Lru[str, str]:
    cache: Lru[str, str] = Lru(capacity)
    for key in keys:
        cache.put(key, key.upper(), cache.epoch)
    return cache


def test_the_entry_used_longest_ago_makes_room():
    cache = filled(2, "a", "b")
    assert cache.get("a") == "A"
    cache.put("c", "C", cache.epoch)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("A", None, "C")


def test_an_entry_loaded_before_something_was_dropped_is_not_kept():
    cache = filled(2, "a")
    epoch = cache.epoch
    cache.drop(["a"])
    cache.put("a", "A", epoch)
    assert cache.get("a") is None
    cache.put("a", "A", cache.epoch)
    assert cache.get("a") == "A"


def test_entries_are_dropped_by_value():
    cache = filled(3, "a", "b", "c")
    cache.drop_where(lambda value: value in "AC")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (None, "B", None)
