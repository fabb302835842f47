"""What a fold stores, as the data map has it; and that nothing personal is stored in the clear."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from schemas.datamap import Store, unplaced_in
from schemas.fields import (
    field_types,
    has_personal_parts,
    is_personal,
    is_plain_index,
    is_sealed,
)
from streams.errors import FoldError
from streams.personal import personal_shape
from streams.state import GlobalTable, Tables, declared
from streams.views import View, shape_of


def stores_of(fold: str, state: type[Tables], views: Iterable[type[View]]) -> Iterator[Store]:
    """The tables of a fold's state, and its views."""
    for name, _, key, values in declared(state):
        types = {"key": key, "value": values}
        if _is_struct(values):
            types = {"key": key} | {f"value.{f}": a for f, a in field_types(values).items()}
        yield _store("state", f"{fold}.{name}", types)
    for view in views:
        yield _store("view", shape_of(view).name, field_types(view))


def check_stores(fold: str, state: type[Tables], views: Iterable[type[View]]) -> None:
    """See that what is personal is sealed where it is stored, or a declared index.

    Raises:
        FoldError: it is not.
    """
    views = tuple(views)
    for name, kind, key, values in declared(state):
        _check_table(f"{fold}.{name}", kind, key, values)
    for view in views:
        _check_view(view)
    for store in stores_of(fold, state, views):
        for problem in unplaced_in(store):
            raise FoldError(f"fold {fold}: {problem}")


def _store(kind: Any, name: str, types: Mapping[str, Any]) -> Store:
    indexed = frozenset(f for f, annotation in types.items() if is_plain_index(annotation))
    personal = frozenset(f for f, annotation in types.items() if is_personal(annotation))
    can_seal = any(map(is_sealed, types.values()))
    return Store(
        kind=kind,
        name=name,
        fields=types,
        sealed=personal - indexed if can_seal else frozenset(),
        plain_index=indexed,
    )


def _check_table(name: str, kind: Any, key: Any, values: Any) -> None:
    _check_key(f"state {name}", key)
    if _is_struct(values):
        _check_rows(f"state {name}", values, is_global=kind is GlobalTable)
    elif has_personal_parts(values) and not is_plain_index(values):
        raise FoldError(f"state {name}: keep Personal values in a struct that names their Subject")


def _check_view(view: type[View]) -> None:
    for field in shape_of(view).key:
        _check_key(f"view {view.__name__}.{field}", field_types(view)[field])
    _check_rows(f"view {view.__name__}", view, is_global=view.GLOBAL)


def _check_key(name: str, key: Any) -> None:
    if has_personal_parts(key) and not is_plain_index(key):
        raise FoldError(f"{name}: keys are not sealed: mark it as PlainIndex, or use a pseudonym")
    if is_sealed(key):
        raise FoldError(f"{name}: what is sealed cannot be a key")


def _check_rows(name: str, struct: type[msgspec.Struct], *, is_global: bool) -> None:
    is_sealing = personal_shape(struct) is not None
    if is_sealing and is_global and field_types(struct).get("tenant") is not str:
        raise FoldError(
            f"{name} is shared by all tenants: its Personal fields need a field `tenant: str`, "
            "whose subject it is"
        )


def _is_struct(values: Any) -> bool:
    return isinstance(values, type) and issubclass(values, msgspec.Struct)
