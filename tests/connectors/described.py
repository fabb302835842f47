"""The API's operations as its own description has them, so that a test can walk over all of them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

METHODS = ("get", "head", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One method of one path.

    Attributes:
        scope: that it needs; None if it is public.
        path_params: names.
        query: schemas by name.
        bodies: schemas by content type.
        needs_body: whether there has to be one.
    """

    method: str
    path: str
    scope: str | None
    path_params: tuple[str, ...]
    query: Mapping[str, Any]
    bodies: Mapping[str, Any]
    needs_body: bool

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    def url(self, names: Mapping[str, str]) -> str:
        """Its path with names of objects; KeyError: there is a parameter that has none."""
        return self.path.format(**{name: names[name] for name in self.path_params})


def operations(document: Any) -> Iterator[Operation]:
    """All operations of an OpenAPI document, which are never none."""
    for path, item in document["paths"].items():
        for method in METHODS:
            described = item.get(method)
            if described is None:
                continue
            parameters = [*item.get("parameters", ()), *described.get("parameters", ())]
            query = {
                p["name"]: flat(document, p["schema"]) for p in parameters if p["in"] == "query"
            }
            body = described.get("requestBody", {})
            content = body.get("content", {})
            security = described.get("security", [])
            yield Operation(
                method,
                path,
                security[0]["bearer"][0] if security else None,
                tuple(p["name"] for p in parameters if p["in"] == "path"),
                query,
                {name: flat(document, body["schema"]) for name, body in content.items()},
                body.get("required", False),
            )


def flat(document: Any, schema: Any) -> Any:
    """A schema without references."""
    if isinstance(schema, list):
        return [flat(document, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return flat(document, found)
    return {name: flat(document, part) for name, part in schema.items()}


def types_of(schema: Any) -> set[str]:
    """The JSON types that a schema takes; none are said if it takes whatever comes."""
    found = set()
    if "type" in schema:
        found.add(schema.get("format") or ("enum" if "enum" in schema else schema["type"]))
    for part in schema.get("oneOf", ()):
        found |= types_of(part)
    return found - {"null"}
