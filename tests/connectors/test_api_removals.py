"""Nothing that clients may use goes without notice: what was published is still there.

A removal takes 30 days of `Deprecation` and `Sunset` headers first (connectors/gateway/deprecation.py);
when the sunset has passed, the line goes from published_api.txt in the same commit. What is added is
added there too: `python tests/connectors/test_api_removals.py` writes the file.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from described import flat, operations
from linking import api_in

PUBLISHED = Path(__file__).with_name("published_api.txt")


def surface(document: Any) -> Iterator[str]:
    """Every route, parameter, field that is taken (.) and field that is answered (→)."""
    for operation in operations(document):
        yield str(operation)
        yield from (f"{operation} ?{name}" for name in operation.query)
        for body in operation.bodies.values():
            yield from (f"{operation} .{name}" for name in _fields(body))
        answers = document["paths"][operation.path][operation.method]["responses"]
        for status, answer in answers.items():
            for body in answer.get("content", {}).values() if status < "3" else ():
                names = _fields(flat(document, body["schema"]))
                yield from (f"{operation} →{name}" for name in names)


def _fields(schema: Any) -> Iterator[str]:
    """Names of fields, those of structs within lists and choices too."""
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from (f"{name}.{inner}" for inner in _fields(part))
    for part in (*([schema["items"]] if "items" in schema else ()), *schema.get("oneOf", ())):
        yield from _fields(part)


def described(directory: Path) -> list[str]:
    with api_in(directory) as api:
        return sorted(set(surface(api.acme.get("/openapi.json").json())))


def test_what_was_published_is_still_there(tmp_path: Path) -> None:
    published = PUBLISHED.read_text().splitlines()
    assert len(published) > 100
    assert set(published) - set(described(tmp_path)) == set()


if __name__ == "__main__":
    PUBLISHED.write_text("\n".join(described(Path(tempfile.mkdtemp()))) + "\n")
    sys.stdout.write(f"{PUBLISHED}\n")
