"""Where pseudonyms stand in keys and values: what erasure goes by."""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from schemas.fields import Mention, Subject, field_types

# All pseudonyms in a value.
Finder = Callable[[Any], Iterable[str]]


def finder(annotation: Any) -> Finder | None:
    """How to find the pseudonyms in values of a type; None if there can be none."""
    if annotation is Subject or annotation is Mention:
        return lambda value: (value,)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _of_places(field_types(annotation).items(), getattr)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return finder(parts[0])
    if origin in (Union, UnionType):
        return _of_union(parts)
    return _of_container(origin, parts) if isinstance(origin, type) else None


def _of_container(origin: type, parts: tuple[Any, ...]) -> Finder | None:
    if origin is tuple and parts[-1] is not Ellipsis:
        return _of_places(enumerate(parts), lambda value, i: value[i])
    if issubclass(origin, Mapping):
        return _of_mapping(*parts)
    return _of_all(finder(parts[0])) if issubclass(origin, Collection) else None


def _of_union(parts: Iterable[Any]) -> Finder | None:
    found = {_runtime_type(part): find for part in parts if (find := finder(part))}
    if not found:
        return None
    return lambda value: found.get(type(value), _none)(value)


def _none(_: Any) -> tuple[()]:
    return ()


def _runtime_type(annotation: Any) -> Any:
    return str if annotation in (Subject, Mention) else get_origin(annotation) or annotation


def _of_places(places: Iterable[tuple[Any, Any]], get: Callable[[Any, Any], Any]) -> Finder | None:
    found = [(place, find) for place, part in places if (find := finder(part))]
    if not found:
        return None
    return lambda value: [s for place, find in found for s in find(get(value, place))]


def _of_all(find: Finder | None) -> Finder | None:
    return (lambda values: [s for value in values for s in find(value)]) if find else None


def _of_mapping(key: Any, value: Any) -> Finder | None:
    in_keys, in_values = _of_all(finder(key)), _of_all(finder(value))
    if in_keys is None:
        return (lambda mapping: in_values(mapping.values())) if in_values else None
    if in_values is None:
        return in_keys
    return lambda mapping: [*in_keys(mapping), *in_values(mapping.values())]
