"""What a fold that was deployed may go on with of what an earlier one has made."""

from collections.abc import Mapping

from streams.errors import FoldError
from streams.fold import Fold
from streams.views import View, shape_of


def fields_of(view: type[View]) -> str:
    """The fields of a view as one text; a view that got more at its end begins with the old one."""
    shape = shape_of(view)
    return " ".join((*shape.key, "→", *shape.values))


def may_become(stored: str | None, fields: str) -> bool:
    """Whether rows of a view with some fields can be read as rows of one with others."""
    return stored is not None and f"{fields} ".startswith(f"{stored} ")


def refuse_older(fold: Fold, newest: int) -> None:
    """See that no newer version of a fold has run.

    Raises:
        FoldError: one has.
    """
    if newest > fold.version:
        raise FoldError(
            f"fold {fold.name} has version {fold.version}, but version {newest} has run on this "
            "data: upgrade Sixfold"
        )


def refuse_other_views(fold: Fold, stored: Mapping[str, str], made: Mapping[str, str]) -> None:
    """See that views of the same version of a fold only got more fields at their end.

    Args:
        stored, made: the fields of its views by their names: as there are, and as it makes them.

    Raises:
        FoldError: one is different, or new.
    """
    for view in fold.views:
        name = shape_of(view).name
        if not may_become(stored.get(name), made[name]):
            raise FoldError(
                f"fold {fold.name}: view {view.__name__} is not what version {fold.version} of the "
                "fold has made: raise its VERSION, so that the view is built anew"
            )
