"""Views: what folds serve to readers, as rows with a partition key and clustering keys.

    class Tally(View):
        \"""Votes per option of one poll.\"""

        poll: Partition[str]
        option: Clustering[int]
        votes: int

The model is Cassandra's: `get` reads a row by its whole key, `slice` the rows of one partition in
clustering order. Rows belong to a tenant unless the view is `GLOBAL`. `Personal` fields are absent
in rows that are read, until they are `opened`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import msgspec

from schemas.fields import Mention, Subject, field_types, has_marker, mentions_type
from schemas.frozen import Frozen
from streams.errors import FoldError
from streams.log import Position
from streams.personal import is_still_sealed

T = TypeVar("T")

_PARTITION = msgspec.Meta(extra={"sixfold": "partition"})
_CLUSTERING = msgspec.Meta(extra={"sixfold": "clustering"})
Partition = Annotated[T, _PARTITION]
Clustering = Annotated[T, _CLUSTERING]

Key = tuple[Any, ...]

# Cassandra takes 65,535 bytes of a partition key; this is four such parts, of four bytes each.
MAX_KEY_CHARS = 4_000
_TEXTS = (str, bytes, Subject, Mention)


class View(Frozen):
    """Base class of view rows: partition keys first, then clustering keys, then the rest.

    Attributes:
        GLOBAL: whether the rows are everybody's, and no tenant's.
        BUCKETS: into how many pieces a store may cut a partition that grows without bound; reading
            a slice of it then costs so many reads.
        KEPT_S: a store may drop a row that was not written for so long; if None it may not.
    """

    GLOBAL: ClassVar[bool] = False
    BUCKETS: ClassVar[int] = 1
    KEPT_S: ClassVar[int | None] = None


V = TypeVar("V", bound=View)


@dataclass(frozen=True, slots=True)
class ViewShape:
    """How the rows of a view are keyed.

    Attributes:
        name: the table's name, in snake case.
        partition, clustering, values: names of fields, in order.
        integers: which parts of the key are integers; stores have 64 bits for them.
        texts: which are texts or bytes; stores take up to `MAX_KEY_CHARS` of each.
    """

    name: str
    view: type[View]
    partition: tuple[str, ...]
    clustering: tuple[str, ...]
    values: tuple[str, ...]
    integers: tuple[int, ...]
    texts: tuple[int, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """All key fields, in order."""
        return self.partition + self.clustering


@cache
def shape_of(view: type[View]) -> ViewShape:
    """The shape of a view.

    Raises:
        FoldError: no partition key, keys that do not come first, or nothing to cut into buckets.
    """
    fields = field_types(view)
    partition = tuple(f for f, annotation in fields.items() if has_marker(annotation, _PARTITION))
    clustering = tuple(f for f, annotation in fields.items() if has_marker(annotation, _CLUSTERING))
    names = tuple(fields)
    key = [fields[name] for name in partition + clustering]
    if not partition:
        raise FoldError(f"view {view.__name__}: mark at least one field as Partition[…]")
    if names[: len(partition) + len(clustering)] != partition + clustering:
        raise FoldError(
            f"view {view.__name__}: Partition fields first, then Clustering, then the rest"
        )
    if view.BUCKETS > 1 and not clustering:
        raise FoldError(f"view {view.__name__}: a partition of one row cannot have BUCKETS")
    return ViewShape(
        name=_snake(view.__name__),
        view=view,
        partition=partition,
        clustering=clustering,
        values=names[len(partition) + len(clustering) :],
        integers=tuple(i for i, part in enumerate(key) if mentions_type(part, int)),
        texts=tuple(i for i, part in enumerate(key) if any(mentions_type(part, t) for t in _TEXTS)),
    )


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which rows of a slice.

    Attributes:
        after: clustering keys behind the prefix; only rows behind them (before, if reverse).
        limit: how many rows at most.
        reverse: against clustering order.
    """

    after: Key | None = None
    limit: int = 1_000
    reverse: bool = False


FIRST_PAGE = Page()


class ViewStore(Protocol):
    """Where the rows are. Writing is part of `commit`."""

    async def get(self, view: type[V], tenant: str, key: Key) -> V | None:
        """The row with this whole key."""

    async def slice(self, view: type[V], tenant: str, prefix: Key, page: Page) -> Sequence[V]:
        """Rows of one partition in clustering order.

        Args:
            prefix: the partition key, then as many clustering keys as should be fixed.
        """

    async def wait(self, view: type[View], position: Position, timeout_s: float) -> None:
        """Return as soon as the view has applied a position.

        Raises:
            BadPosition: the view is not fed by that topic.
            NotYetApplied: it has not within `timeout_s`.
        """


class Opener(Protocol):
    """Opens rows: `streams.sealing.Sealer`."""

    def opened_rows(self, rows: Sequence[V], tenant: str) -> Sequence[V]:
        """Rows of one view with their personal fields; those of erased subjects stay absent."""


async def opened(opener: Opener, rows: Sequence[V], tenant: str) -> Sequence[V]:
    """Rows of one view with their personal fields; those of erased subjects stay absent.

    Raises:
        VaultError: they cannot be opened now.
    """
    if not any(map(is_still_sealed, rows)):
        return rows
    return await asyncio.to_thread(opener.opened_rows, rows, tenant)  # the vault may use the disk


class Views:
    """The views as one tenant sees them, optionally no older than a position."""

    def __init__(
        self,
        store: ViewStore,
        opener: Opener,
        tenant: str,
        after: Position | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        self._store = store
        self._opener = opener
        self._tenant = tenant
        self._after = after
        self._timeout_s = timeout_s

    async def get(self, view: type[V], *key: Any) -> V | None:
        """The row with this whole key."""
        await self._caught_up(view)
        return await self._store.get(view, self._tenant, key)

    async def slice(self, view: type[V], *prefix: Any, page: Page = FIRST_PAGE) -> Sequence[V]:
        """Rows of one partition in clustering order; see `ViewStore.slice`."""
        await self._caught_up(view)
        return await self._store.slice(view, self._tenant, prefix, page)

    async def opened(self, rows: Sequence[V]) -> Sequence[V]:
        """Rows that were read, with their personal fields: as many, in the same order.

        Those of erased subjects stay absent.
        """
        return await opened(self._opener, rows, self._tenant)

    async def _caught_up(self, view: type[View]) -> None:
        if self._after is not None:
            await self._store.wait(view, self._after, self._timeout_s)
