"""The queries that come with the platform: `sql/<system>/<name>.sql`, described by a comment."""

from dataclasses import dataclass
from pathlib import Path

from batch.errors import UnknownQuery

_DIRECTORY = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True)
class Query:
    """A query.

    Attributes:
        name: `<system>/<name>`.
        description: the comment that it begins with.
    """

    name: str
    description: str
    sql: str


def queries() -> list[Query]:
    """All of them, by name."""
    return [_read(path) for path in sorted(_DIRECTORY.glob("*/*.sql"))]


def query(name: str) -> Query:
    """The query of a name.

    Raises:
        UnknownQuery: there is none.
    """
    known = {query.name: query for query in queries()}
    try:
        return known[name]
    except KeyError:
        raise UnknownQuery(f"no query {name!r}; there are: {', '.join(known)}") from None


def _read(path: Path) -> Query:
    sql = path.read_text("utf-8")
    comment = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        comment.append(line.removeprefix("--").strip())
    return Query(f"{path.parent.name}/{path.stem}", " ".join(comment), sql)
