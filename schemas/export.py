"""Publish the catalog: a JSON Schema per event type, and an AsyncAPI document."""

from pathlib import Path

from schemas.asyncapi import FILE, asyncapi
from schemas.catalog import Catalog
from schemas.compatibility import Kind, check
from schemas.errors import BreakingChange
from schemas.json_schema import json_schema, render


def export(catalog: Catalog, directory: Path) -> list[Path]:
    """Write what has changed since it was published; the files that were written.

    Nothing is written over what it would break, and nothing is removed: what was published once
    stays, or `check` would not miss it.

    Raises:
        BreakingChange: the catalog is not compatible with what is published.
    """
    directory.mkdir(parents=True, exist_ok=True)
    breaks = [str(one) for one in check(catalog, directory) if one.kind is Kind.BREAKING]
    if breaks:
        raise BreakingChange("\n".join(breaks))
    documents = {f"{t.name}.json": json_schema(catalog, t) for t in catalog.types.values()}
    documents[FILE] = asyncapi(catalog)
    texts = {directory / name: render(document) for name, document in documents.items()}
    return [path for path, text in texts.items() if _write(path, text)]


def _write(path: Path, text: str) -> bool:
    """Write a file if that changes it."""
    if path.exists() and path.read_text("utf-8") == text:
        return False
    path.write_text(text, "utf-8")
    return True
