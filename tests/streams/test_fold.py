from types import ModuleType

import hits_fold
import polls_fold
import pytest
from hits import HitCounted, Hits
from polls import PollOpened, PollVoted

from schemas.event import Data, event
from schemas.fields import Subject
from schemas.topic import Topic
from streams.access import fold as access_fold
from streams.batch import Batch
from streams.effects import Effects
from streams.errors import FoldError
from streams.fold import Fold
from streams.links import fold as links_fold
from streams.links import stats
from streams.state import Table, Tables
from streams.views import Partition, View


@event("other.happened", topic=Topic("other", partitions=7), key="key")
class OtherHappened(Data):
    """Something else."""

    key: str


class Owner(View):
    key: Partition[str]
    owner: Subject


class Owners(Tables):
    owners: Table[str, Subject]


def count(batch: Batch[HitCounted], state: Tables, out: Effects) -> None:
    """Does nothing."""


def two_topics(batch: Batch[HitCounted | OtherHappened], state: Tables, out: Effects) -> None:
    """Does nothing."""


def votes(batch: Batch[PollVoted], state: Tables, out: Effects) -> None:
    """Does nothing."""


def untyped(batch, state, out):
    """Does nothing."""


def module(**names: object) -> ModuleType:
    made = ModuleType("streams.sample.fold")
    vars(made).update(names)
    return made


def test_a_fold_is_read_from_its_module():
    fold = Fold.of(hits_fold)
    assert fold.types == {HitCounted}
    assert fold.topics == ("hits",)
    assert fold.views == (Hits,)
    assert fold.state is hits_fold.State
    assert (fold.version, fold.tick, fold.erase, fold.opens) == (1, None, None, False)
    assert Fold.of(polls_fold).types == {PollOpened, PollVoted}


def test_names_are_those_of_packages_and_of_modules_beside_the_first():
    assert [Fold.of(m).name for m in (links_fold, stats, access_fold)] == [
        "links",
        "links-stats",
        "access",
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({}, "has no function fold"),
        ({"fold": untyped}, "annotate its first argument"),
        ({"fold": two_topics}, "same number of partitions"),
        ({"fold": votes}, "needs erase"),
        ({"fold": count, "Owner": Owner}, "needs erase"),
        ({"fold": count, "State": Owners}, "needs erase"),
    ],
)
def test_rules_are_kept(names: dict[str, object], said: str):
    with pytest.raises(FoldError, match=said):
        Fold.of(module(**names))


def test_who_can_forget_may_know_persons():
    def erase(subject: Subject, state: Tables, out: Effects) -> None:
        """Forgets."""

    fold = Fold.of(module(fold=count, Owner=Owner, State=Owners, erase=erase))
    assert fold.keeps_subjects
    assert not Fold.of(hits_fold).keeps_subjects
