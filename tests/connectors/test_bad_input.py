"""Bad input of every kind gets a 4xx problem that names the field: a walk over every route.

A route that is added later is walked over too. If it takes a body, say in GOOD what a good one is;
if it has path parameters of a new kind, in `names` what they may be.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from described import Operation, operations, types_of
from linking import TARGET, Api, api_in, problem

from connectors.gateway.auth import ADMIN, SCOPES

EVERY_SCOPE = sorted(SCOPES - {ADMIN})

LINK = {"long_url": TARGET}
SIGNING_KEY = {"algorithm": "HS256", "audience": "a", "scopes": ["links:read"], "secret": "x" * 40}
# A good body of each route, and where in it the object is whose fields are tried (of bulks: one).
GOOD: dict[str, tuple[dict[str, Any], tuple[str, int] | None]] = {
    "POST /api/v1/keys": ({"name": "n", "scopes": ["links:read"]}, None),
    "POST /api/v1/keys/{id}/rotate": ({"overlap_s": 60}, None),
    "POST /api/v1/signing-keys": (SIGNING_KEY, None),
    "POST /api/v1/urls": (LINK, None),
    "POST /api/v1/urls/bulk": ({"urls": [LINK]}, ("urls", 0)),
    "PATCH /api/v1/urls/{key}": ({"tags": ["t"]}, None),
}
# Of these the description says nothing but that they take a body; tests of their own say the rest.
OPAQUE = {"POST /api/v1/events", "POST /{key}"}

WRONG: dict[str, Any] = {
    "string": {"an": "object"},
    "integer": "7",
    "number": "7",
    "boolean": "yes",
    "array": "not a list",
    "enum": "none of them",
    "object": "not an object",
    "date-time": "tomorrow",
    "date": "tomorrow",
}
WRONG_IN_QUERY = WRONG | {"integer": "seven", "number": "seven", "boolean": "perhaps"}
# Parameters whose types take any text, with one that they do not take.
WRONG_TEXTS = {"cursor": "x", "by": "colour"}
ANY_TEXT = {"tag", "external_id", "tenant"}

BAD_URLS = (
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "ftp://example.com/",
    "mailto:ann@example.com",
    "HTTPS//example.com",
    "//example.com/",
    "https:/example.com",
    "http://",
    "https://user:secret@example.com/",
    "https://example.com:99999/",
    "",
)


class Walk(NamedTuple):
    api: Api
    client: httpx.Client
    names: dict[str, str]
    operations: list[Operation]

    def send(self, operation: Operation, **request: Any) -> httpx.Response:
        return self.client.request(operation.method, operation.url(self.names), **request)

    def with_body(self) -> Iterator[Operation]:
        for operation in self.operations:
            if operation.bodies and str(operation) not in OPAQUE:
                yield operation


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with api_in(tmp_path_factory.mktemp("bad")) as api:
        client = api.client("acme", *EVERY_SCOPE)
        key = client.post("/api/v1/keys", json={"name": "n", "scopes": ["links:read"]}).json()
        signing = client.post("/api/v1/signing-keys", json=SIGNING_KEY).json()
        link = client.post("/api/v1/urls", json=LINK).json()
        names = {"key": link["key"], "id": key["id"], "kid": signing["kid"]}
        described = list(operations(client.get("/openapi.json").json()))
        yield Walk(api, client, names, described)


def named(answer: httpx.Response, field: str) -> bool:
    """Whether an answer is a 4xx problem about this field, with a title and what to do."""
    status, fields = problem(answer)
    said = answer.json()
    assert said["status"] == status and said["title"] and said["detail"]
    return status == 400 and any(
        part.partition("[")[0] == field for one in fields for part in one.split(".")
    )


def altered(operation: Operation, **fields: Any) -> dict[str, Any]:
    """A good body, but for some fields; None as a default takes one out."""
    body, where = GOOD[str(operation)]
    if where is None:
        return body | fields
    name, index = where
    listed = list(body[name])
    listed[index] = listed[index] | fields
    return body | {name: listed}


def object_schema(operation: Operation) -> dict[str, Any]:
    """The schema of the object in the body whose fields are tried."""
    schema = operation.bodies["application/json"]
    where = GOOD[str(operation)][1]
    found: dict[str, Any] = schema["properties"][where[0]]["items"] if where else schema
    return found


def test_the_walk_knows_a_good_body_of_every_route(walk: Walk) -> None:
    taking = {str(operation) for operation in walk.operations if operation.bodies}
    assert taking == GOOD.keys() | OPAQUE
    for operation in walk.with_body():
        assert walk.send(operation, json=altered(operation)).is_success, operation


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": }', b"\xff\xfe", b"null", b"[]", b'"text"', b"7", b"{}{}", b"NaN"],
    ids=repr,
)
def test_what_is_no_json_object_is_refused(walk: Walk, content: bytes) -> None:
    for operation in walk.operations:
        if not operation.bodies or operation.scope is None:
            continue
        if content == b"" and not operation.needs_body:
            continue
        headers = {"Content-Type": "application/json"}
        answer = walk.send(operation, content=content, headers=headers)
        status, fields = problem(answer)
        assert status == 400, (str(operation), answer.text)
        assert fields or "event" in answer.json()["detail"], operation


def test_unknown_fields_are_refused_by_their_names(walk: Walk) -> None:
    for operation in walk.with_body():
        answer = walk.send(operation, json=altered(operation, colour="red"))
        assert named(answer, "colour"), (str(operation), answer.text)


def test_missing_fields_are_named(walk: Walk) -> None:
    tried = 0
    for operation in walk.with_body():
        for field in object_schema(operation)["required"]:
            body = altered(operation)
            where = GOOD[str(operation)][1]
            inner = body if where is None else body[where[0]][where[1]]
            without = {name: value for name, value in inner.items() if name != field}
            sent = without if where is None else {where[0]: [without]}
            answer = walk.send(operation, json=sent)
            assert named(answer, field), (str(operation), answer.text)
            tried += 1
    assert tried >= 6


def test_fields_of_a_wrong_type_are_named(walk: Walk) -> None:
    tried = 0
    for operation in walk.with_body():
        for field, schema in object_schema(operation)["properties"].items():
            assert types_of(schema), (str(operation), field)
            for type_ in types_of(schema):
                answer = walk.send(operation, json=altered(operation, **{field: WRONG[type_]}))
                assert named(answer, field), (str(operation), field, answer.text)
                tried += 1
    assert tried >= 40


def test_urls_of_other_schemes_are_refused_in_every_field_that_takes_one(walk: Walk) -> None:
    tried = 0
    for operation in walk.with_body():
        for field in object_schema(operation)["properties"]:
            if "url" not in field:
                continue
            for url in BAD_URLS:
                answer = walk.send(operation, json=altered(operation, **{field: url}))
                assert named(answer, field), (str(operation), field, url, answer.text)
                tried += 1
    assert tried == 6 * len(BAD_URLS)  # long_url and expired_url, of one link, of many, changed


def test_bodies_above_their_limit_are_refused(walk: Walk) -> None:
    too_large = b'{"a": "' + b"x" * (17 << 20) + b'"}'
    for operation in walk.operations:
        if operation.bodies:
            kind = next(iter(operation.bodies))
            answer = walk.send(operation, content=too_large, headers={"Content-Type": kind})
            assert problem(answer)[0] == 413, (str(operation), answer.text)


def test_other_content_types_are_refused(walk: Walk) -> None:
    for operation in walk.operations:
        if operation.bodies and operation.scope is not None:
            headers = {"Content-Type": "application/x-something"}
            answer = walk.send(operation, content=b"<a/>", headers=headers)
            assert problem(answer)[0] in (400, 415), (str(operation), answer.text)


def test_parameters_of_a_wrong_type_are_named(walk: Walk) -> None:
    tried = 0
    for operation in walk.operations:
        body = {"json": altered(operation)} if str(operation) in GOOD else {}
        for name, schema in operation.query.items():
            if name in ANY_TEXT:
                continue
            (type_,) = types_of(schema)
            wrong = WRONG_TEXTS.get(name) or WRONG_IN_QUERY[type_]
            answer = walk.send(operation, params={name: wrong}, **body)
            assert named(answer, name), (str(operation), name, answer.text)
            tried += 1
    assert tried >= 15


def test_unknown_parameters_are_refused_by_their_names(walk: Walk) -> None:
    for operation in walk.operations:
        if operation.scope is not None:
            body = {"json": altered(operation)} if str(operation) in GOOD else {}
            answer = walk.send(operation, params={"tagg": "x"}, **body)
            assert named(answer, "tagg"), (str(operation), answer.text)
            assert all(name in answer.json()["detail"] for name in operation.query), operation


def test_short_links_take_whatever_parameters_others_have_added(walk: Walk) -> None:
    link = walk.client.post("/api/v1/urls", json=LINK).json()["key"]
    for method in ("GET", "HEAD"):
        answer = walk.client.request(method, f"/{link}", params={"fbclid": "x"})
        assert answer.status_code == 302


def test_a_position_that_is_none_is_refused_wherever_it_is_looked_at(walk: Walk) -> None:
    for operation in walk.operations:
        if operation.method == "get" and operation.scope is not None:
            answer = walk.send(operation, headers={"Sixfold-After": "yesterday"})
            assert problem(answer) == (400, ["Sixfold-After"]), (str(operation), answer.text)


def test_whoever_lacks_the_scope_is_told_which(walk: Walk) -> None:
    for scope in {operation.scope for operation in walk.operations} - {None}:
        others = walk.api.client("acme", *(set(EVERY_SCOPE) - {scope}))
        for operation in walk.operations:
            if operation.scope == scope:
                path = operation.url(walk.names)
                answer = others.request(operation.method, path)
                assert problem(answer)[0] == 403, operation
                assert answer.json()["scope"] == scope, operation


def test_whoever_shows_no_credentials_is_told_how(walk: Walk) -> None:
    for operation in walk.operations:
        if operation.scope is not None:
            path = operation.url(walk.names)
            for credentials in ("", "Basic YTpi", "Bearer nonsense", "Bearer sk_1_2"):
                answer = httpx.request(
                    operation.method,
                    f"{walk.client.base_url}{path}",
                    headers={"Authorization": credentials} if credentials else {},
                )
                assert problem(answer)[0] == 401, operation
                assert "WWW-Authenticate" in answer.headers, operation


def test_options_and_a_wrong_method_name_all_methods_of_a_path(walk: Walk) -> None:
    methods: dict[str, set[str]] = {}
    for operation in walk.operations:
        url = operation.url(walk.names)
        methods.setdefault(url, {"OPTIONS"}).add(operation.method.upper())
    for url, described in methods.items():
        allowed = ", ".join(sorted(described | ({"HEAD"} if "GET" in described else set())))
        assert walk.client.options(url).headers["allow"] == allowed, url
        answer = walk.client.put(url)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), url
        assert allowed in answer.json()["detail"], url


def test_wrong_methods_and_paths_are_problems_too(walk: Walk) -> None:
    for operation in walk.operations:
        if operation.scope is not None:
            answer = walk.client.request("PUT", operation.url(walk.names))
            assert problem(answer)[0] in (404, 405), operation
    assert problem(walk.client.get("/api/v1/nothing"))[0] == 404
