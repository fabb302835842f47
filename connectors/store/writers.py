"""What all stores ask before they read a view: which fold writes it, and what feeds that."""

from collections.abc import Iterable

from streams.cursor import NO_TENANT
from streams.errors import BadPosition, FoldError
from streams.fold import Fold
from streams.log import Position
from streams.views import View


class Writers:
    """The folds by the views that they write."""

    def __init__(self, folds: Iterable[Fold]) -> None:
        """Of these folds.

        Raises:
            FoldError: two write the same view.
        """
        self._folds: dict[type[View], Fold] = {}
        for fold in folds:
            for view in fold.views:
                other = self._folds.setdefault(view, fold)
                if other is not fold:
                    raise FoldError(
                        f"view {view.__name__} is named by the folds {other.name} and {fold.name}, "
                        "but a view is written by one fold"
                    )

    def of(self, view: type[View]) -> Fold:
        """The fold that writes a view.

        Raises:
            FoldError: none does.
        """
        try:
            return self._folds[view]
        except KeyError:
            raise FoldError(f"no fold writes the view {view.__name__}") from None

    def fed_by(self, view: type[View], position: Position) -> Fold:
        """The fold that writes a view, which is to have applied a position.

        Raises:
            BadPosition: it is not fed by that topic, or there is no such partition.
        """
        fold = self.of(view)
        if position.topic not in fold.topics:
            raise BadPosition(f"{position}: this reads what is fed by {', '.join(fold.topics)}")
        partitions = fold.partitions_of(position.topic)
        if position.partition >= partitions:
            raise BadPosition(
                f"{position}: {position.topic} has {partitions} partitions, from 0 on"
            )
        return fold


def scope(view: type[View], tenant: str) -> str:
    """The tenant that a view's rows are stored under when somebody of a tenant reads it."""
    return NO_TENANT if view.GLOBAL else tenant
