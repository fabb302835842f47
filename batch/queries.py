"""The SQL that comes with the platform, described by a comment.

`sql/<system>/<name>.sql` are queries, `sql/<system>/views/<name>.sql` are views that queries may use
like tables.
"""

from dataclasses import dataclass
from pathlib import Path

from batch.errors import UnknownQuery

_DIRECTORY = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True)
class Query:
    """A query, or a view.

    Attributes:
        name: `<system>/<name>`, of a view `<name>`.
        description: the comment that it begins with.
    """

    name: str
    description: str
    sql: str


def queries() -> list[Query]:
    """All of them, by name."""
    return [
        _read(path, f"{path.parent.name}/{path.stem}")
        for path in sorted(_DIRECTORY.glob("*/*.sql"))
    ]


def views() -> list[Query]:
    """All views, by name, which is without a system: it is used in SQL."""
    return [_read(path, path.stem) for path in sorted(_DIRECTORY.glob("*/views/*.sql"))]


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


def _read(path: Path, name: str) -> Query:
    sql = path.read_text("utf-8")
    comment = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        comment.append(line.removeprefix("--").strip())
    return Query(name, " ".join(comment), sql)
