"""Patterns of fields are told in words."""

from typing import Annotated

import msgspec
import pytest

from schemas.patterns import IN_WORDS, in_words


@pytest.mark.parametrize("pattern", IN_WORDS)
def test_a_text_that_does_not_match_is_told_what_is_allowed(pattern: str) -> None:
    class Named(msgspec.Struct):
        name: Annotated[str, msgspec.Meta(pattern=pattern)]

    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"name": "not 'this'\n"}, Named)
    assert in_words(str(refused.value)) == f"Expected {IN_WORDS[pattern]} - at `$.name`"


@pytest.mark.parametrize(
    "message",
    ["Expected `int`, got `str`", "Expected `str` matching regex '^x$'", "Object missing field"],
)
def test_what_has_no_words_stays_as_it_is(message: str) -> None:
    assert in_words(message) == message
