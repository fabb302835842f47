from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import RuleBroken
from streams.links.rules import (
    CACHED_CODES,
    RESERVED,
    Availability,
    LinkTerms,
    availability,
    check_alias,
    check_terms,
    expiry_ms,
    is_reserved,
    warnings,
)

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOW_MS = 1_714_564_800_000


@pytest.mark.parametrize("alias", ["abc", "Summer-Sale_2024", "0-0", "a" * 64, "aB3dE5g"])
def test_a_well_formed_alias_is_taken(alias: str) -> None:
    check_alias(alias)


@pytest.mark.parametrize(
    "alias",
    ["", "ab", "a" * 65, "-abc", "_abc", "a.b.c", "a/b", "a b c", "abc\n", "ünï", "abc٣", "%41bc"],
)
def test_a_malformed_alias_is_refused(alias: str) -> None:
    with pytest.raises(RuleBroken, match="custom_alias: must be 3 to 64"):
        check_alias(alias)


@pytest.mark.parametrize(
    "alias", ["api", "API", "docs", "health", "Metrics", "connection", "openapi"]
)
def test_a_reserved_word_is_refused_in_any_case(alias: str) -> None:
    with pytest.raises(RuleBroken, match="reserved"):
        check_alias(alias)


def test_reserved_words_can_be_compared_with_lower_case() -> None:
    assert all(word == word.lower() for word in RESERVED)
    assert is_reserved("METRICS")
    assert is_reserved("robots.txt")
    assert not is_reserved("metric5")


@pytest.mark.parametrize(
    ("terms", "clicks", "answer"),
    [
        (LinkTerms(), 10**9, Availability.ACTIVE),
        (LinkTerms(expires_at_ms=NOW_MS + 1), 0, Availability.ACTIVE),
        (LinkTerms(expires_at_ms=NOW_MS), 0, Availability.EXPIRED),
        (LinkTerms(max_clicks=5), 4, Availability.ACTIVE),
        (LinkTerms(max_clicks=5), 5, Availability.USED_UP),
        (LinkTerms(max_clicks=5), 6, Availability.USED_UP),
        (LinkTerms(password_hash="$argon2"), 0, Availability.PASSWORD_REQUIRED),
        (LinkTerms(disabled=True), 0, Availability.DISABLED),
        (LinkTerms(disabled=True, expires_at_ms=0, max_clicks=1), 1, Availability.DISABLED),
        (LinkTerms(password_hash="$argon2", expires_at_ms=0), 0, Availability.EXPIRED),
        (LinkTerms(password_hash="$argon2", max_clicks=1), 1, Availability.USED_UP),
    ],
)
def test_what_a_link_answers_with(terms: LinkTerms, clicks: int, answer: Availability) -> None:
    assert availability(terms, clicks, NOW_MS) is answer


@given(
    st.builds(
        LinkTerms,
        redirect_code=st.sampled_from((301, 302, 307, 308)),
        expires_at_ms=st.none() | st.just(NOW_MS),
        max_clicks=st.none() | st.just(1),
        password_hash=st.none() | st.just("$argon2"),
    )
)
def test_codes_that_browsers_cache_go_only_with_links_that_never_end(terms: LinkTerms) -> None:
    ends = (terms.expires_at_ms, terms.max_clicks, terms.password_hash) != (None, None, None)
    try:
        check_terms(terms)
        allowed = True
    except RuleBroken as broken:
        assert broken.field == "redirect_code"
        allowed = False
    assert allowed == (not ends or terms.redirect_code not in CACHED_CODES)


def test_all_reasons_against_a_cached_code_are_named() -> None:
    with pytest.raises(RuleBroken, match="an expiry and a password: use 302 or 307"):
        check_terms(LinkTerms(redirect_code=308, expires_at_ms=1, password_hash="$argon2"))


@pytest.mark.parametrize(
    ("terms", "field"),
    [(LinkTerms(redirect_code=303), "redirect_code"), (LinkTerms(max_clicks=0), "max_clicks")],
)
def test_impossible_terms_are_refused(terms: LinkTerms, field: str) -> None:
    with pytest.raises(RuleBroken) as broken:
        check_terms(terms)
    assert broken.value.field == field


def test_only_codes_that_browsers_cache_are_warned_about() -> None:
    assert warnings(LinkTerms()) == warnings(LinkTerms(redirect_code=307)) == []
    assert "301" in warnings(LinkTerms(redirect_code=301))[0]


def test_an_expiry_is_given_by_ttl_or_by_time() -> None:
    paris = timezone(timedelta(hours=2))
    assert expiry_ms(None, None, NOW) is None
    assert expiry_ms(60, None, NOW) == NOW_MS + 60_000
    assert expiry_ms(None, datetime(2024, 5, 1, 14, 1, tzinfo=paris), NOW) == NOW_MS + 60_000


@pytest.mark.parametrize(
    ("ttl_s", "expires_at", "reason"),
    [
        (60, NOW + timedelta(hours=1), "ttl: give either"),
        (0, None, "ttl: must be from 1"),
        (-5, None, "ttl: must be from 1"),
        (10**12, None, "ttl: must be from 1"),
        (None, NOW, "expires_at: must be in the future"),
        (None, datetime(2030, 1, 1), "expires_at: needs a time zone"),  # noqa: DTZ001
    ],
)
def test_an_impossible_expiry_is_refused(
    ttl_s: int | None, expires_at: datetime | None, reason: str
) -> None:
    with pytest.raises(RuleBroken, match=reason):
        expiry_ms(ttl_s, expires_at, NOW)
