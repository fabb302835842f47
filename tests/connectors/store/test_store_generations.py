"""Generations: what a fold has made, what is being built, and what readers see of it."""

import pytest
from stores import BIRDS, Everyone, Total, fold_of, sqlite_pair

from streams.commit import Commit, Seen
from streams.errors import FoldError, NotYetApplied
from streams.state import Change
from streams.views import Clustering, Partition, View

V2 = fold_of("birds", *BIRDS.views, version=2)
V3 = fold_of("birds", *BIRDS.views, version=3)


def total(seen):
    return {Total: {("acme", ("owl", 5, 1)): Total("owl", 5, 1, seen)}}


def tables(log):
    rows = log.reader().execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows if name.startswith(("view_", "state_"))}


def count(log, table):
    return log.reader().execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_what_is_no_longer_read_is_gone_with_all_it_has_made(log):
    pair = sqlite_pair(log, BIRDS)
    old = pair.prepare().active
    state = [Change("t", b"k", b"v")]
    seen = [Seen("sightings", "acme", "id", 1)]
    pair.commit(Commit(old, 0, {"sightings": 1}, state=state, rows=total(1), seen=seen))
    new = pair.committer.begin(BIRDS, 1)
    assert len(tables(log)) == 2 * 6
    pair.committer.activate(new).result()
    assert len(tables(log)) == 6
    assert all(name.endswith(f"_{new.number}") for name in tables(log))
    assert [count(log, table) for table in ("seen", "applied", "view", "generation")] == [
        0,
        0,
        5,
        1,
    ]


def test_of_several_that_were_begun_the_last_is_built(log):
    pair = sqlite_pair(log, BIRDS)
    pair.prepare()
    pair.committer.begin(BIRDS, 1)
    last = pair.committer.begin(BIRDS, 2)
    assert pair.prepare().building == last
    assert count(log, "generation") == 2


def test_what_a_version_has_begun_to_build_its_successor_drops(log):
    pair = sqlite_pair(log, BIRDS)
    pair.prepare()
    begun = pair.prepare(V2).building
    assert begun is not None
    last = pair.prepare(V3).building
    assert last not in (None, begun)
    assert count(log, "generation") == 2


def test_numbers_are_not_given_twice(log):
    pair = sqlite_pair(log, BIRDS)
    numbers = [pair.prepare().active.number]
    for _ in range(3):
        new = pair.committer.begin(BIRDS, 0)
        pair.committer.activate(new).result()
        numbers.append(new.number)
    assert len(set(numbers)) == 4


class Nest(View):
    """As it was."""

    bird: Partition[str]
    eggs: int


def grown():
    class Nest(View):
        """With another field at its end."""

        bird: Partition[str]
        eggs: int
        colour: str = "white"

    return Nest


def rekeyed():
    class Nest(View):
        """With another key."""

        bird: Partition[str]
        year: Clustering[int]
        eggs: int

    return Nest


def test_a_view_may_get_more_fields_and_old_rows_have_their_defaults(log):
    before, after = fold_of("nests", Nest), fold_of("nests", view := grown())
    pair = sqlite_pair(log, before)
    generation = pair.prepare(before).active
    pair.write(generation, {Nest: {("acme", ("owl",)): Nest("owl", 3)}})
    pair = sqlite_pair(log, after)
    pair.prepare(after)
    assert pair.get(view, "owl") == view("owl", 3, "white")


@pytest.mark.parametrize("views", [(rekeyed(),), (Nest, Everyone)])
def test_other_views_need_another_version(log, views):
    sqlite_pair(log).prepare(fold_of("nests", Nest))
    with pytest.raises(FoldError, match="raise its VERSION"):
        sqlite_pair(log).prepare(fold_of("nests", *views))


def test_while_a_view_with_other_fields_is_built_readers_are_told_to_come_again(log):
    old = sqlite_pair(log).prepare(fold_of("nests", Nest)).active
    fold = fold_of("nests", view := rekeyed(), Everyone, version=2)
    pair = sqlite_pair(log, fold)
    building = pair.prepare(fold).building
    for read_ in (lambda: pair.slice(view, "owl"), lambda: pair.get(Everyone, "owl")):
        with pytest.raises(NotYetApplied, match="is being built"):
            read_()
    assert old != building
    pair.committer.activate(building).result()
    assert pair.slice(view, "owl") == []


def test_what_has_never_run_cannot_be_read(log):
    pair = sqlite_pair(log, BIRDS)
    with pytest.raises(FoldError, match="has never run on this data"):
        pair.get(Total, "owl", 1, 1)


def test_folds_are_told_apart_by_name(log):
    pair = sqlite_pair(log, BIRDS, fold_of("nests", Nest))
    birds, nests = pair.prepare().active, pair.prepare(fold_of("nests", Nest)).active
    pair.write(birds, {}, sightings=4)
    assert pair.committer.applied(nests) == {}
