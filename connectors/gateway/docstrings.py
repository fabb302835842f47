"""What the docstrings of structs say about their fields: `Attributes:`, as everywhere here."""

import re
from inspect import cleandoc

# "    name, other: what they are", then more lines that are indented deeper.
_ATTRIBUTE = re.compile(r"^    (?P<names>\w+(?:, \w+)*): (?P<text>.+(?:\n {8}.+)*)", re.MULTILINE)


def attributes_of(struct: type) -> dict[str, str]:
    """The descriptions of a struct's fields, with those that it inherits."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        section = cleandoc(base.__doc__ or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
        for match in _ATTRIBUTE.finditer(section):
            text = " ".join(match["text"].split())
            found |= dict.fromkeys(match["names"].split(", "), text[0].upper() + text[1:])
    return found
