"""Folds: what an agent runs, read from the module that defines it.

A module with a function `fold(batch, state, out)` is a fold. Beside it the module may have

| name                          | meaning                                                             |
|-------------------------------|---------------------------------------------------------------------|
| `class State(Tables)`         | what it remembers                                                   |
| `erase(subject, state, out)`  | how it forgets a subject; required if events, state or views name one |
| `tick(now, state, out)`       | called every `TICK_S` seconds; reads state, and only emits            |
| `VERSION`                     | 1 unless set; raise it when the meaning of state or views changes   |
| `BATCH_INTERVAL_S`            | batches are at least so far apart; see below                        |
| `OPENS`                       | whether it reads `Personal` fields, which are absent otherwise      |

The event types are those of the annotation `Batch[A | B]`; the views it writes are those that the
module names. Both are checked when the platform is wired, as is that no `Personal` field of state
and views is stored in the clear (streams/personal.py). A tick may find something due again
before what it emitted is folded, so it emits to topics that are `deduplicated`. Each batch has its
price, so what comes in masses and nobody waits for is cheaper in large ones; how far apart those of
a topic are is the least of what its folds say.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from schemas.datamap import Store
from schemas.event import Data, EventType, event_type_of
from streams.batch import Batch
from streams.errors import FoldError
from streams.state import Tables, declared
from streams.stores import check_stores, stores_of
from streams.subjects import finder
from streams.views import View

DEFAULT_TICK_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One fold.

    Attributes:
        name: `links` for `streams.links.fold`, `links-stats` for `streams.links.stats`.
        topics: what it is fed by, partition by partition.
        opens: whether `Personal` fields are opened before it sees an event.
    """

    name: str
    version: int
    types: frozenset[type[Data]]
    topics: tuple[str, ...]
    views: tuple[type[View], ...]
    state: type[Tables]
    run: Callable[[Batch[Any], Any, Any], None]
    erase: Callable[[Any, Any, Any], None] | None
    tick: Callable[[Any, Any, Any], None] | None
    tick_s: float
    batch_interval_s: float
    opens: bool

    def partitions_of(self, topic: str) -> int:
        """The number of partitions of a topic that it is fed by."""
        topics = (event_type_of(type_).topic for type_ in self.types)
        return next(found.partitions for found in topics if found.name == topic)

    @property
    def keeps_subjects(self) -> bool:
        """Whether its state or views can name subjects."""
        kept = [*self.views, *(part for _, _, *types in declared(self.state) for part in types)]
        return any(map(finder, kept))

    @property
    def stores(self) -> tuple[Store, ...]:
        """Its tables of state and its views, as the data map has them."""
        return tuple(stores_of(self.name, self.state, self.views))

    @classmethod
    def of(cls, module: ModuleType) -> "Fold":
        """The fold that a module defines.

        Raises:
            FoldError: the module breaks a rule.
        """
        names = vars(module)
        if "fold" not in names:
            raise FoldError(f"{module.__name__} has no function fold(batch, state, out)")
        types = _event_types(module)
        fold = cls(
            name=_name(module),
            version=names.get("VERSION", 1),
            types=frozenset(types),
            topics=tuple(sorted({event_type_of(type_).topic.name for type_ in types})),
            views=tuple(member for member in names.values() if _is_view(member)),
            state=names.get("State", Tables),
            run=names["fold"],
            erase=names.get("erase"),
            tick=names.get("tick"),
            tick_s=names.get("TICK_S", DEFAULT_TICK_S),
            batch_interval_s=names.get("BATCH_INTERVAL_S", 0.0),
            opens=names.get("OPENS", False),
        )
        _check(fold, types)
        return fold


def _name(module: ModuleType) -> str:
    *packages, stem = module.__name__.split(".")
    if not packages:
        return stem
    return packages[-1] if stem == "fold" else f"{packages[-1]}-{stem}"


def _event_types(module: ModuleType) -> list[type[Data]]:
    hints = get_type_hints(module.fold, include_extras=True)
    batches = [hint for hint in hints.values() if get_origin(hint) is Batch]
    if not batches:
        raise FoldError(f"{module.__name__}.fold: annotate its first argument as Batch[A | B]")
    (types,) = get_args(batches[0])
    return list(get_args(types)) if get_origin(types) in (Union, UnionType) else [types]


def _is_view(member: object) -> bool:
    return inspect.isclass(member) and issubclass(member, View) and member is not View


def names_subject(type_: EventType) -> bool:
    """Whether events of a type can name a subject."""
    return bool(type_.subject or type_.mentions)


def _check(fold: Fold, types: list[type[Data]]) -> None:
    described = [event_type_of(type_) for type_ in types]
    counts = {type_.topic.partitions for type_ in described}
    if len(counts) > 1:
        raise FoldError(f"fold {fold.name}: its topics need the same number of partitions")
    if fold.erase is None and (fold.keeps_subjects or any(map(names_subject, described))):
        raise FoldError(
            f"fold {fold.name}: its events, state or views name subjects, so it needs "
            "erase(subject, state, out)"
        )
    check_stores(fold.name, fold.state, fold.views)
