from datetime import UTC, datetime

import pytest
from folding import NOW, Folding, days

from schemas.fields import Subject
from schemas.links import (
    LinkChanged,
    LinkDeleted,
    LinkRefused,
    LinkReleased,
    LinkRequested,
    LinkUsedUp,
)
from streams.links import fold as links
from streams.links.rules import LinkTerms
from streams.links.views import ALL, Alias, Link, LinkCount, LinkListing, LinkMonth, TaggedLink

URL = "https://example.com/"
NOW_MS = int(NOW.timestamp() * 1000)


def made(*tags: str, **terms) -> Folding:
    """After the tenant acme has claimed the alias `sale`."""
    return Folding(links).fold(
        LinkRequested("sale", URL, is_alias=True, tags=list(tags), **terms), id="first"
    )


def sale(folding: Folding) -> Link:
    return folding.row(Link, "sale")


def test_the_first_claim_of_a_key_makes_the_link():
    folding = made("spring", redirect_code=307, external_id="42", created_by=Subject("5f0c"))
    assert sale(folding) == Link(
        link="sale",
        tenant="acme",
        claim="first",
        revision="first",
        long_url=URL,
        terms=LinkTerms(redirect_code=307),
        created_ms=NOW_MS,
        is_alias=True,
        tags=("spring",),
        external_id="42",
        created_by=Subject("5f0c"),
    )
    assert folding.keys(Alias) == [(ALL, "sale")]


@pytest.mark.parametrize("tenant", ["acme", "other"])
def test_a_later_claim_changes_nothing(tenant):
    folding = made()
    before = dict(folding.rows)
    folding.fold(LinkRequested("sale", "https://other.example/"), tenant=tenant)
    assert folding.rows == before
    assert folding.emitted == []


def test_a_later_claim_that_was_submitted_is_refused_to_its_reference():
    folding = made().fold(LinkRequested("sale", URL, reference="external/7"), tenant="other")
    assert folding.emitted == [LinkRefused("external/7", "sale")]


def test_reserved_keys_are_never_given():
    folding = Folding(links).fold(LinkRequested("metrics", URL, reference="external/7"))
    assert folding.row(Link, "metrics") is None
    assert folding.emitted == [LinkRefused("external/7", "metrics")]


def test_links_are_listed_by_month_and_creation_and_tag():
    folding = Folding(links)
    folding.fold(LinkRequested("late", URL, tags=["a", "b"]), at=NOW)
    folding.fold(LinkRequested("early", URL, tags=["b"]), at=NOW - days(1))
    early_ms = NOW_MS - 86_400_000
    assert folding.keys(LinkMonth) == [(ALL, "2026-04"), (ALL, "2026-05")]
    assert folding.keys(LinkListing) == [
        ("2026-04", early_ms, "early"),
        ("2026-05", NOW_MS, "late"),
    ]
    assert folding.keys(TaggedLink) == [
        ("a", "2026-05", NOW_MS, "late"),
        ("b", "2026-04", early_ms, "early"),
        ("b", "2026-05", NOW_MS, "late"),
    ]


def test_each_tenant_has_its_own_lists_and_count():
    folding = Folding(links)
    folding.fold(LinkRequested("one", URL), LinkRequested("two", URL))
    folding.fold(LinkRequested("three", URL), tenant="other")
    assert [row[2] for row in folding.keys(LinkListing, "other")] == ["three"]
    assert folding.row(LinkCount, 0).links == 2
    assert folding.row(LinkCount, 0, tenant="other").links == 1


def test_a_change_replaces_what_can_be_changed_and_keeps_the_rest():
    folding = made("old", "both", external_id="42", max_clicks=5)
    folding.fold(
        LinkChanged("sale", "https://new.example/", max_clicks=9, tags=["both", "new"]), id="second"
    )
    link = sale(folding)
    assert (link.claim, link.revision, link.created_ms) == ("first", "second", NOW_MS)
    assert (link.long_url, link.terms.max_clicks) == ("https://new.example/", 9)
    assert (link.external_id, link.tags) == ("42", ("both", "new"))
    assert [key[0] for key in folding.keys(TaggedLink)] == ["both", "new"]


def test_a_change_of_an_older_revision_is_void():
    folding = made()
    folding.fold(LinkChanged("sale", "https://a.example/", revision="first"), id="second")
    folding.fold(LinkChanged("sale", "https://b.example/", revision="first"), id="third")
    assert (sale(folding).long_url, sale(folding).revision) == ("https://a.example/", "second")


def test_a_change_that_says_nothing_of_it_leaves_a_link_disabled():
    folding = made().fold(LinkChanged("sale", URL, disabled=True), LinkChanged("sale", URL))
    assert sale(folding).terms.disabled
    folding.fold(LinkChanged("sale", URL, disabled=False))
    assert not sale(folding).terms.disabled


@pytest.mark.parametrize(
    "event", [LinkChanged("sale", "https://evil.example/"), LinkDeleted("sale")]
)
def test_nobody_changes_another_tenants_link(event):
    folding = made()
    before = dict(folding.rows)
    folding.fold(event, tenant="other")
    assert folding.rows == before


@pytest.mark.parametrize("event", [LinkChanged("no", URL), LinkDeleted("no"), LinkUsedUp("no", 1)])
def test_what_happens_to_no_link_changes_nothing(event):
    assert Folding(links).fold(event).rows == {}


def test_a_deleted_link_keeps_its_key_and_leaves_all_lists():
    folding = made("spring").fold(LinkDeleted("sale"))
    assert sale(folding).deleted
    assert folding.keys(LinkListing) == folding.keys(TaggedLink) == []
    assert folding.row(LinkCount, 0).links == 0
    folding.fold(LinkRequested("sale", URL, is_alias=True), id="again")
    assert (sale(folding).claim, sale(folding).deleted) == ("first", True)


def test_a_link_is_deleted_once_and_never_changed_after_that():
    folding = made().fold(LinkDeleted("sale"), LinkDeleted("sale"))
    folding.fold(LinkChanged("sale", "https://new.example/"))
    assert (sale(folding).long_url, folding.row(LinkCount, 0).links) == (URL, 0)


def test_deleting_a_link_frees_its_external_id():
    folding = made(external_id="42", reference="external/42").fold(LinkDeleted("sale"))
    assert folding.emitted == [LinkReleased("external/42", "sale")]


def test_deleting_a_link_does_not_free_an_idempotency_key():
    folding = made(reference="request/0/k").fold(LinkDeleted("sale"))
    assert folding.emitted == []


def test_a_link_is_used_up_until_its_cap_is_changed():
    folding = made(max_clicks=5).fold(LinkUsedUp("sale", 5))
    assert sale(folding).used_up
    folding.fold(LinkChanged("sale", "https://new.example/", max_clicks=5))
    assert sale(folding).used_up
    folding.fold(LinkChanged("sale", URL, max_clicks=6))
    assert not sale(folding).used_up


def test_a_cap_that_was_raised_meanwhile_is_not_used_up():
    folding = made(max_clicks=5).fold(LinkChanged("sale", URL, max_clicks=6), LinkUsedUp("sale", 5))
    assert not sale(folding).used_up


def test_an_erased_person_is_no_longer_named_by_their_links():
    folding = made(created_by=Subject("5f0c")).fold(
        LinkRequested("other", URL, created_by=Subject("99aa"))
    )
    folding.erase("5f0c")
    assert sale(folding).created_by is None
    assert folding.row(Link, "other").created_by == "99aa"
    assert folding.row(LinkCount, 0).links == 2


def test_months_are_those_of_utc():
    last_ms = int(datetime(2026, 1, 31, 23, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)
    assert (links.month_of(last_ms), links.month_of(last_ms + 1)) == ("2026-01", "2026-02")


# Links whose addresses are sealed

ANN, BOB = Subject("5f0c"), Subject("b0b0")


def sealed(**said) -> Folding:
    """After ann has made the sealed link `sale`."""
    said = {"created_by": ANN, "target": URL, "expired_target": f"{URL}over"} | said
    return Folding(links).fold(LinkRequested("sale", "", tags=["spring"], **said))


def opened(folding: Folding) -> Link:
    (link,) = folding.views.opened([sale(folding)])
    return link


def test_a_sealed_link_leads_to_its_address_when_it_is_opened():
    folding = sealed()
    row = sale(folding)
    assert (row.is_sealed, row.url, row.expired_url) == (True, None, None)
    assert (opened(folding).url, opened(folding).expired_url) == (URL, f"{URL}over")


def test_a_sealed_link_is_changed_to_what_is_sealed_for_whoever_changed_it():
    folding = sealed()
    folding.fold(LinkChanged("sale", "", created_by=BOB, target="https://other.example/"))
    assert opened(folding).url == "https://other.example/"
    assert opened(folding).expired_url is None
    folding.erase(ANN)
    assert not sale(folding).deleted
    folding.erase(BOB)
    assert sale(folding).deleted


def test_erasing_whose_address_it_was_deletes_a_sealed_link():
    folding = sealed(external_id="42", reference="external/42")
    folding.erase(ANN)
    row = sale(folding)
    assert row.deleted
    assert (row.created_by, row.url, row.sealed) == (None, None, None)
    assert opened(folding) == row
    assert folding.keys(LinkListing) == folding.keys(TaggedLink) == []
    assert folding.views.slice(LinkCount, 0) == [LinkCount(0, 0)]
    assert folding.emitted == [LinkReleased("external/42", "sale")]


def test_erasing_whose_link_was_deleted_counts_it_once():
    folding = sealed()
    folding.fold(LinkDeleted("sale"))
    folding.erase(ANN)
    assert sale(folding).created_by is None
    assert folding.views.slice(LinkCount, 0) == [LinkCount(0, 0)]


def test_if_sealed_links_are_folded_again_after_the_erasure_the_end_is_the_same():
    """As a rebuild does: the address is absent from the beginning, and the erasure comes later."""
    folding = sealed(target=None, expired_target=None)
    assert opened(folding).url is None
    folding.erase(ANN)
    assert sale(folding) == sale(sealed().erase(ANN))
