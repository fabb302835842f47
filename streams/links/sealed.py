"""Links made with `sealed`: where they lead is personal data of whoever made them."""

from typing import TypeVar

import msgspec

from schemas.links import LinkChanged, LinkRequested, LinkSubmitted
from streams.errors import RuleBroken
from streams.links.rules import CACHED_CODES, LinkTerms

E = TypeVar("E", bound=LinkSubmitted | LinkRequested | LinkChanged)


def with_sealed_addresses(event: E) -> E:
    """The same event, with its addresses in the fields that are sealed."""
    return msgspec.structs.replace(
        event,
        long_url="",
        expired_url=None,
        target=event.long_url,
        expired_target=event.expired_url,
    )


def check_sealed(terms: LinkTerms) -> None:
    """Check that the address of a link can be forgotten.

    Raises:
        RuleBroken: browsers would remember it.
    """
    if terms.redirect_code in CACHED_CODES:
        raise RuleBroken(
            "redirect_code",
            f"browsers cache {terms.redirect_code} and would remember a sealed address: "
            "use 302 or 307",
        )
