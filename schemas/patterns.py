"""Patterns that texts have to match, and in words what they allow: people do not read patterns."""

import re
from typing import Annotated

import msgspec

VISITOR = r"^[A-Za-z0-9+/=_-]{1,64}\Z"
KIND = r"^(human|bot|preview)\Z"
COUNTRY = r"^[A-Z]{2}\Z"
HOST = r"^[a-z0-9._:-]{1,253}\Z"
TENANT = "^[a-z0-9][a-z0-9_-]{0,62}$"
VISIBLE_ASCII = r"^[\x21-\x7e]+$"

# A tenant's name is the first part of its records' keys, which a slash ends.
Tenant = Annotated[str, msgspec.Meta(pattern=TENANT)]

IN_WORDS = {
    VISITOR: "1 to 64 letters, digits or any of + / = _ -",
    KIND: "human, bot or preview",
    COUNTRY: "two capital letters, as DE",
    HOST: "1 to 253 small letters, digits or any of . _ : -",
    TENANT: "1 to 63 small letters, digits, _ or -, of which the first is a letter or digit",
    VISIBLE_ASCII: "visible ASCII characters, no spaces",
}

_TOLD = {repr(pattern): words for pattern, words in IN_WORDS.items()}
_MISMATCH = re.compile(r"Expected `str` matching regex (?P<pattern>'.*'|\".*\")", re.DOTALL)


def in_words(message: str) -> str:
    """What msgspec says of a value, with words for the pattern that it does not match."""

    def told(match: re.Match[str]) -> str:
        words = _TOLD.get(match["pattern"])
        return f"Expected {words}" if words else match[0]

    return _MISMATCH.sub(told, message)
