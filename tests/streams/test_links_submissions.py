from folding import NOW, Folding, days

from schemas.fields import Subject
from schemas.links import LinkChanged, LinkRefused, LinkReleased, LinkRequested, LinkSubmitted
from streams.links import submissions
from streams.links.submissions import external_reference, request_reference
from streams.links.views import Submission

URL = "https://example.com/"
EXTERNAL = external_reference("42")
REQUEST = request_reference("key", 0)


def external(link: str, long_url: str = URL, **fields) -> LinkSubmitted:
    return LinkSubmitted(EXTERNAL, link, long_url, replaces=True, external_id="42", **fields)


def request(link: str, reference: str = REQUEST, **fields) -> LinkSubmitted:
    return LinkSubmitted(reference, link, URL, replaces=False, **fields)


def test_the_first_submission_claims_its_key_with_everything_it_says():
    said = {
        "is_alias": True,
        "redirect_code": 307,
        "expires_at_ms": 5,
        "expired_url": "https://example.com/over",
        "max_clicks": 3,
        "password_hash": "$argon2id$",
        "audit": True,
        "tags": ["a"],
        "created_by": Subject("5f0c"),
    }
    folding = Folding(submissions).fold(external("sale", **said, fingerprint="f"), id="s1")
    claim = LinkRequested("sale", URL, reference=EXTERNAL, external_id="42", **said)
    assert folding.emitted == [claim]
    assert folding.row(Submission, EXTERNAL) == Submission(EXTERNAL, "sale", "s1", "f")


def test_a_later_submission_of_an_external_id_changes_the_link_and_keeps_its_key():
    folding = Folding(submissions).fold(external("first"), id="s1")
    folding.fold(external("second", "https://new.example/", max_clicks=2, tags=["b"]), id="s2")
    change = LinkChanged("first", "https://new.example/", max_clicks=2, tags=["b"])
    assert folding.emitted[1:] == [change]
    assert folding.row(Submission, EXTERNAL).submission == "s1"


def test_a_repeated_request_changes_nothing():
    folding = Folding(submissions).fold(request("first"), id="s1").fold(request("second"), id="s2")
    assert len(folding.emitted) == 1
    assert folding.row(Submission, REQUEST) == Submission(REQUEST, "first", "s1")


def test_the_links_of_one_request_are_told_apart():
    references = {
        request_reference("key", 0),
        request_reference("key", 1),
        request_reference("k", 0),
    }
    assert len(references) == 3


def test_references_belong_to_their_tenant():
    folding = Folding(submissions).fold(external("one")).fold(external("two"), tenant="other")
    assert [claim.link for claim in folding.emitted] == ["one", "two"]


def test_a_reference_whose_key_was_refused_is_free_again():
    folding = Folding(submissions).fold(external("taken"), LinkRefused(EXTERNAL, "taken"))
    assert folding.row(Submission, EXTERNAL) is None
    folding.fold(external("other"))
    assert folding.emitted[-1] == LinkRequested("other", URL, external_id="42", reference=EXTERNAL)


def test_a_reference_whose_link_was_deleted_is_free_again():
    folding = Folding(submissions).fold(external("one"), LinkReleased(EXTERNAL, "one"))
    folding.fold(external("two"))
    assert folding.row(Submission, EXTERNAL).link == "two"


def test_what_was_refused_before_does_not_free_what_has_a_link_now():
    folding = Folding(submissions).fold(external("one"), LinkRefused(EXTERNAL, "another"))
    assert folding.row(Submission, EXTERNAL).link == "one"


def test_an_idempotency_key_is_good_for_seven_days():
    folding = Folding(submissions).fold(request("one"))
    folding.fold(request("two"), at=NOW + days(7))
    assert folding.row(Submission, REQUEST).link == "one"
    folding.fold(request("three"), at=NOW + days(7.01))
    assert folding.row(Submission, REQUEST).link == "three"


def test_an_external_id_is_good_for_ever():
    folding = Folding(submissions).fold(external("one")).fold(external("two"), at=NOW + days(900))
    assert folding.row(Submission, EXTERNAL).link == "one"


def test_idempotency_keys_that_are_over_are_forgotten():
    folding = Folding(submissions)
    for day in range(30):
        for n in range(5):
            folding.fold(request("link", request_reference(f"{day}-{n}", 0)), at=NOW + days(day))
    kept = {key for (key,) in folding.keys(Submission)}
    assert kept == {request_reference(f"{day}-{n}", 0) for day in range(22, 30) for n in range(5)}
    assert len(folding.state.submitted) == len(folding.state.passing) == len(kept)


def test_forgetting_copes_with_keys_that_were_refused_or_used_again():
    folding = Folding(submissions)
    folding.fold(request("one"), LinkRefused(REQUEST, "one"), request("two"))
    folding.fold(request("three"), at=NOW + days(8))
    for n in range(3):
        folding.fold(request("x", request_reference(f"new{n}", 0)), at=NOW + days(9))
    assert folding.row(Submission, REQUEST).link == "three"
    assert len(folding.state.submitted) == len(folding.state.passing) == 4


def test_sealed_addresses_are_handed_on_sealed_with_whose_they_are():
    ann = Subject("5f0c")
    said = {"target": URL, "expired_target": "https://example.com/over", "created_by": ann}
    folding = Folding(submissions).fold(external("sale", "", **said))
    folding.fold(external("other", "", **said))
    claim = LinkRequested("sale", "", reference=EXTERNAL, external_id="42", **said)
    assert folding.emitted == [claim, LinkChanged("sale", "", **said)]
