"""What the API's description says beyond what Litestar finds out by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from linking import TARGET, Api, api_in

from connectors.gateway.auth import SCOPES
from connectors.gateway.docstrings import attributes_of


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api_in(tmp_path_factory.mktemp("described")) as api:
        yield api


@pytest.fixture(scope="module")
def document(api: Api) -> Any:
    return api.acme.get("/openapi.json").json()


class Animal:
    """An animal.

    Attributes:
        name, kind: what it is called, and
            by whom.
        legs: how many.
    """


class Dog(Animal):
    """A dog.

    Attributes:
        legs: four.

    Raises:
        Nothing: ever.
    """


def test_attributes_are_read_from_docstrings_with_those_of_bases() -> None:
    called = "What it is called, and by whom."
    assert attributes_of(Dog) == {"name": called, "kind": called, "legs": "Four."}
    assert attributes_of(Path) == {}


def test_fields_are_described_as_their_docstrings_have_them(document: Any) -> None:
    fields = document["components"]["schemas"]["NewLink"]["properties"]
    assert fields["ttl"]["description"] == "Seconds from now; or give `expires_at`."
    assert fields["custom_alias"]["description"].startswith("3 to 64 letters")


def test_scopes_that_can_be_given_are_listed(document: Any) -> None:
    for body in ("NewKey", "NewSigningKey"):
        scopes = document["components"]["schemas"][body]["properties"]["scopes"]
        assert scopes["items"]["enum"] == sorted(SCOPES)


def test_every_answer_of_a_short_link_is_described(api: Api, document: Any) -> None:
    described = document["paths"]["/{key}"]
    answers = api.acme.post
    plain = answers("/api/v1/urls", json={"long_url": TARGET}).json()["key"]
    locked = answers("/api/v1/urls", json={"long_url": TARGET, "password": "p"}).json()["key"]
    given = {
        "get": [httpx.get(f"{api.acme.base_url}/{key}") for key in (plain, locked, "nobodys")],
        "post": [
            httpx.post(f"{api.acme.base_url}/{locked}", data={"password": word})
            for word in ("p", "x", "x", "x", "x")
        ],
    }
    assert [str(answer.status_code) for answer in given["get"]] == ["302", "200", "404"]
    assert {answer.status_code for answer in given["post"]} == {303, 403, 429}
    for method, answered in given.items():
        assert {str(a.status_code) for a in answered} < described[method]["responses"].keys()


def test_creation_is_described_with_each_of_its_answers(api: Api, document: Any) -> None:
    responses = document["paths"]["/api/v1/urls"]["post"]["responses"]
    assert responses.keys() == {"200", "201", "202", "default"}
    schemas = [
        responses[status]["content"]["application/json"]["schema"] for status in ("200", "202")
    ]
    assert [s["$ref"].rpartition("/")[2] for s in schemas] == ["ShownLink", "Accepted"]
    for status in (201, 200):
        body = {"long_url": TARGET, "external_id": "described"}
        assert api.acme.post("/api/v1/urls", json=body).status_code == status
