"""Whatever belongs to another tenant is not there: one walk over every route of the API.

A route that is added later is walked over too. If it has a parameter of a kind that is not known
here, say in FOREIGN what it names, or in ORDINARY that it names no object.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from described import Operation, operations
from linking import TARGET, Api, api_in, problem

from connectors.gateway.auth import ADMIN, SCOPES

EVERY_SCOPE = sorted(SCOPES - {ADMIN})
BODIES: dict[str, Any] = {"PATCH /api/v1/urls/{key}": {"tags": ["stolen"]}}

# Parameters of queries that say how, not what.
ORDINARY = {"limit", "since", "before", "until", "granularity", "by", "size", "border", "partial"}
# Those that only narrow a list of the caller's own things, or (tenant) need the scope admin.
NARROWING = {"tag", "external_id"}
FOREIGN_QUERIES = {"cursor", "tenant"} | NARROWING


class Walk(NamedTuple):
    api: Api
    owner: httpx.Client
    thieves: dict[str, httpx.Client]
    foreign: dict[str, str]
    absent: dict[str, str]
    operations: list[Operation]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with api_in(tmp_path_factory.mktemp("tenants")) as api:
        owner = api.client("acme", *EVERY_SCOPE)
        made = [
            owner.post("/api/v1/urls", json={"long_url": TARGET, "tags": ["t"], "external_id": id})
            for id in ("one", "two")
        ]
        key = owner.post("/api/v1/keys", json={"name": "service", "scopes": ["links:read"]})
        owner.post("/api/v1/keys", json={"name": "another", "scopes": ["links:read"]})
        hs256 = {"algorithm": "HS256", "audience": "app", "secret": "x" * 40}
        signing, _ = (
            owner.post("/api/v1/signing-keys", json=hs256 | {"scopes": [scope]})
            for scope in ("links:read", "links:write")
        )
        foreign = {
            "key": made[0].json()["key"],
            "id": key.json()["id"],
            "kid": signing.json()["kid"],
        }
        thieves = {"service": api.client("thief", *EVERY_SCOPE), "user": api.user("thief", "eve")}
        absent = {"key": "neverWas", "id": "neverwas", "kid": "0" * 16}
        described = list(operations(owner.get("/openapi.json").json()))
        yield Walk(api, owner, thieves, foreign, absent, described)


def asked(thief: httpx.Client, operation: Operation, names: dict[str, str]) -> httpx.Response:
    body = BODIES.get(str(operation), {}) if operation.bodies else None
    return thief.request(operation.method, operation.url(names), json=body)


def test_the_walk_knows_every_parameter_of_every_route(walk: Walk) -> None:
    assert len(walk.operations) >= 19
    for operation in walk.operations:
        assert set(operation.path_params) <= walk.foreign.keys(), operation
        assert operation.query.keys() <= ORDINARY | FOREIGN_QUERIES, operation


@pytest.mark.parametrize("who", ["service", "user"])
def test_what_another_tenant_has_answers_as_if_it_had_never_been(walk: Walk, who: str) -> None:
    thief, walked = walk.thieves[who], 0
    for operation in walk.operations:
        if not operation.path_params or operation.scope is None:
            continue  # public are the short links themselves
        answer = asked(thief, operation, walk.foreign)
        nothing = asked(thief, operation, walk.absent)
        if who == "user" and answer.status_code == 403:
            assert nothing.status_code == 403, operation  # tokens do not have every scope
            continue
        assert (answer.status_code, nothing.status_code) == (404, 404), (
            str(operation),
            answer.text,
        )
        (name,) = operation.path_params
        said = answer.json()["detail"].replace(walk.foreign[name], walk.absent[name])
        assert said == nothing.json()["detail"], operation
        walked += 1
    assert walked >= (9 if who == "service" else 6)


def test_cursors_of_another_tenant_are_none(walk: Walk) -> None:
    lists = [operation for operation in walk.operations if "cursor" in operation.query]
    assert len(lists) >= 3
    for operation in lists:
        page = walk.owner.request(operation.method, operation.path, params={"limit": 1})
        cursor = page.json()["next"]
        assert cursor is not None, f"{operation}: give the owner two of what it lists"
        for thief in walk.thieves.values():
            answer = thief.request(operation.method, operation.path, params={"cursor": cursor})
            if answer.status_code != 403:
                assert problem(answer) == (400, ["cursor"]), operation
        garbage = walk.thieves["service"].request(
            operation.method, operation.path, params={"cursor": "x" + cursor[1:]}
        )
        assert problem(garbage) == (400, ["cursor"]), operation


def test_lists_hold_nothing_of_another_tenant_however_they_are_asked(walk: Walk) -> None:
    narrowed = {"tag": "t", "external_id": "one"}
    assert narrowed.keys() == NARROWING
    for operation in walk.operations:
        if "cursor" not in operation.query:
            continue
        params = [{}, *({n: v} for n, v in narrowed.items() if n in operation.query)]
        for some in params:
            answer = walk.thieves["service"].get(operation.path, params=some)
            assert answer.status_code == 200, operation
            assert not any(name in answer.text for name in walk.foreign.values()), operation


def test_naming_another_tenant_says_nothing_of_whether_it_is_there(walk: Walk) -> None:
    named = [operation for operation in walk.operations if "tenant" in operation.query]
    assert named
    for operation in named:
        answers = {
            tenant: walk.thieves["service"].get(operation.path, params={"tenant": tenant})
            for tenant in ("acme", "nobody")
        }
        assert {answer.status_code for answer in answers.values()} == {403}
        texts = {answer.text.replace(tenant, "…") for tenant, answer in answers.items()}
        assert len(texts) == 1


def test_after_all_that_the_owner_has_everything_as_it_was(walk: Walk) -> None:
    link = walk.owner.get(f"/api/v1/urls/{walk.foreign['key']}").json()
    assert (link["tags"], link["status"]) == (["t"], "active")
    keys = walk.owner.get("/api/v1/keys").json()["keys"]
    assert walk.foreign["id"] in {key["id"] for key in keys}
    removed = walk.owner.delete(f"/api/v1/signing-keys/{walk.foreign['kid']}")
    assert removed.status_code == 204
