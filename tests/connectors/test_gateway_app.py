import re
from datetime import date
from typing import ClassVar

import pytest
from api import running
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from serving import Wire
from test_gateway_front import get as get_request

from connectors.errors import ConnectorError
from connectors.gateway.bodies import Body
from connectors.gateway.deprecation import Deprecation
from connectors.gateway.given import Views
from streams.access.views import ApiKey
from streams.errors import RuleBroken

OLD = Deprecation(since=date(2026, 1, 1), sunset=date(2026, 3, 1))


class Order(Body):
    item: str
    count: int = 1
    tags: list[str] = []  # noqa: RUF012 — msgspec copies it
    colour: str | None = None

    DEPRECATED: ClassVar = {"colour": OLD}


@post("/orders", public=True)
async def order(data: JSONBody[Order]) -> Order:
    return data


@get("/orders/{number:int}", public=True, deprecation=OLD)
async def show(number: FromPath[int], limit: FromQuery[int] = 5) -> int:
    return number + limit


@get("/rule", public=True)
async def rule() -> None:
    raise RuleBroken("long_url", "is too long")


@get("/bug", public=True)
async def bug() -> None:
    raise ZeroDivisionError


@get("/key/{id:str}", scope="keys:admin")
async def key(id: FromPath[str], views: Views) -> str | None:
    row = await views.get(ApiKey, id)
    return row and row.name


state = {"warming": True}


async def warm() -> str | None:
    return "still warming" if state["warming"] else None


async def broken() -> str | None:
    if state["warming"]:
        raise OSError
    return None


ROUTES = (order, show, rule, bug, key)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    checks = {"cache": warm, "disk": broken}
    with running(
        tmp_path_factory.mktemp("api"), ROUTES, deps={"checks": checks}, max_body_bytes=1_000
    ) as api:
        yield api


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b'{"count": 2}', "item", "missing"),
        (b'{"item": "x", "price": 3}', "price", "unknown"),
        (b'{"item": "x", "count": "3"}', "count", "Expected `int`"),
        (b'{"item": "x", "tags": ["a", 1]}', "tags[1]", "Expected `str`"),
        (b'{"item": "x"', "body", "truncated"),
        (b'{"item": "x"} {}', "body", "trailing"),
        (b'{"item": "\xff"}', "body", "utf-8"),
        (b"[]", "body", "Expected `object`"),
        (b"", "body", "missing"),
    ],
)
def test_a_bad_body_is_refused_naming_the_field(api, body, field, message):
    (error,) = problem(api.client.post("/orders", content=body), 400)["errors"]
    assert error["field"] == field
    assert message in error["message"]


def test_a_good_body_is_taken(api):
    answer = api.client.post("/orders", json={"item": "x", "tags": ["a"]})
    assert answer.status_code == 201
    assert answer.json() == {"item": "x", "count": 1, "tags": ["a"], "colour": None}


def test_a_large_body_is_refused(api):
    problem(api.client.post("/orders", json={"item": "x" * 1_000}), 413)
    chunks = iter([b'{"item": "', b"x" * 1_000, b'"}'])
    problem(api.client.post("/orders", content=chunks), 413)


def test_a_bad_parameter_is_refused_by_name(api):
    (error,) = problem(api.client.get("/orders/1?limit=many"), 400)["errors"]
    assert error["field"] == "limit"


def test_what_is_not_there_is_a_problem_too(api):
    problem(api.client.get("/nothing"), 404)
    problem(api.client.get("/orders/one"), 404)
    problem(api.client.get("/openapi.json/more"), 404)
    answer = api.client.delete("/orders")
    problem(answer, 405)
    assert "POST" in answer.headers["allow"]


def test_a_broken_rule_names_the_field(api):
    assert problem(api.client.get("/rule"), 400)["errors"] == [
        {"field": "long_url", "message": "is too long"}
    ]


def test_a_bug_is_a_problem_that_tells_no_secrets(api):
    assert "Zero" not in problem(api.client.get("/bug"), 500)["detail"]


def test_deprecated_routes_and_fields_say_when_they_go(api):
    route = api.client.get("/orders/1")
    field = api.client.post("/orders", json={"item": "x", "colour": "red"})
    for answer in (route, field):
        assert answer.headers["deprecation"] == "@1767225600"
        assert answer.headers["sunset"] == "Sun, 01 Mar 2026 00:00:00 GMT"
    assert "deprecation" not in api.client.post("/orders", json={"item": "x"}).headers


def test_a_sunset_needs_thirty_days_of_notice():
    with pytest.raises(ConnectorError, match="30 days"):
        Deprecation(since=date(2026, 1, 1), sunset=date(2026, 1, 30))


def test_every_route_says_who_may_use_it(tmp_path):
    @get("/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(ConnectorError, match="/forgotten"), running(tmp_path, [forgotten]):
        pass


def test_a_read_waits_for_the_position_it_names(api):
    made = api.client.post("/api/v1/keys", json={"name": "mine", "scopes": ["links:read"]})
    position = made.headers["sixfold-position"]
    assert re.fullmatch(r"access/0/\d+", position)
    path = f"/key/{made.json()['id']}"
    answer = api.client.get(path, headers={"Sixfold-After": position})
    assert answer.text == "mine"


def test_a_position_that_is_none_is_refused(api):
    for after in ("yesterday", "polls/0/1", "access/99/0"):
        answer = api.client.get("/key/x", headers={"Sixfold-After": after})
        assert problem(answer, 400)["errors"][0]["field"] == "Sixfold-After"


def test_a_read_that_waits_too_long_is_told_to_come_again(tmp_path):
    with running(tmp_path, ROUTES, applied_timeout_s=0.05) as api:
        answer = api.client.get("/key/x", headers={"Sixfold-After": "access/0/99"})
        problem(answer, 503)
        assert answer.headers["retry-after"] == "1"


def test_a_log_that_cannot_be_written_is_a_503(api):
    api.log.refuses = True
    try:
        answer = api.client.post("/api/v1/keys", json={"name": "x", "scopes": ["links:read"]})
    finally:
        api.log.refuses = False
    assert "/secret/path" not in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "1"


def test_health_tells_alive_from_ready(api):
    state["warming"] = True
    assert api.as_(None).head("/health/live").status_code == 200
    assert api.as_(None).get("/health/live").status_code == 200
    answer = problem(api.as_(None).get("/health/ready"), 503)
    assert answer["reasons"] == {"cache": "still warming", "disk": "the check failed: OSError"}
    state["warming"] = False
    assert api.as_(None).get("/health/ready").json() == {"status": "ready"}


@pytest.mark.parametrize(
    "path",
    [
        *("/orders/1", "/orders/x", "/rule", "/bug", "/api/v1/keys", "/api/v1/keys?limit=x"),
        *("/api/v1/signing-keys", "/docs", "/docs/start.js", "/openapi.json", "/health/live"),
        "/nowhere",
    ],
)
def test_head_is_answered_like_get_but_for_the_body(api, path):
    got, headed = api.client.get(path), api.client.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    for answer in (got, headed):
        answer.headers.pop("date")  # a second may have passed
    assert headed.headers == got.headers


def test_nothing_of_a_body_follows_a_head(api):
    with Wire(api.port) as wire:
        for path in (b"/orders/1", b"/rule", b"/nowhere"):
            wire.send(b"HEAD %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            assert int(wire.answer(to_head=True).headers["content-length"]) > 0
            wire.send(get_request(b"/orders/1"))
            assert wire.answer().status == 200


def test_head_is_no_way_round_scopes_and_none_to_what_has_no_get(api):
    assert api.as_(None).head("/api/v1/keys").status_code == 401
    mine = api.as_(api.new_key("mine", "links:read"))
    assert mine.head("/api/v1/keys").status_code == 403
    assert api.client.head("/orders").status_code == 405
    assert "HEAD" in api.client.put("/orders/1").headers["allow"]


def test_requests_are_counted_by_route_template(api):
    api.client.get("/orders/1")
    api.client.get("/orders/2")
    api.client.get("/no-such-thing-as-this")
    metrics = api.client.get("/metrics").text
    assert re.search(
        r'sixfold_http_requests_total\{method="GET",route="/orders/\{number.*\}",status="200"\}',
        metrics,
    )
    assert 'route="unmatched",status="404"' in metrics
    assert "no-such-thing" not in metrics
    assert "sixfold_http_request_seconds_bucket" in metrics


def test_the_api_describes_itself(api):
    schema = api.client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    assert {"/api/v1/keys", "/api/v1/events", "/orders"} <= schema["paths"].keys()
    assert "/metrics" not in schema["paths"]
    assert schema["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    body = schema["paths"]["/api/v1/events"]["post"]["requestBody"]
    assert "application/x-ndjson" in body["content"]
    keys = schema["paths"]["/api/v1/keys"]["post"]
    assert keys["security"] == [{"bearer": ["keys:admin"]}]
    assert keys["summary"] == "Create an API key; it may do no more than the caller"
    assert keys["responses"].keys() == {"201", "default"}
    assert "Problem" in schema["components"]["schemas"]
    assert schema["paths"]["/orders"]["post"]["security"] == []
    assert schema["paths"]["/orders/{number}"]["get"]["deprecated"]
    assert not any("head" in path for path in schema["paths"].values())
    names = {p["name"] for p in schema["paths"]["/api/v1/keys"]["get"]["parameters"]}
    assert {"cursor", "limit"} <= names


def test_the_docs_need_nothing_from_elsewhere(api):
    page = api.as_(None).get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    sources = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(sources) == 4
    for source in sources:
        assert source.startswith("/docs/")
        assert api.as_(None).get(source).status_code == 200
    problem(api.client.get("/docs/other.js"), 404)


def test_other_origins_are_not_let_in(api):
    answer = api.client.get("/health/live", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_origins_of_the_settings_are_let_in(tmp_path):
    with running(tmp_path, cors_origins=("https://app.example",)) as api:
        answer = api.client.get("/health/live", headers={"Origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"


def test_pipelined_requests_of_the_api_are_all_answered(api):
    with Wire(api.port) as wire:
        wire.send(get_request(b"/health/live") * 3)
        assert [wire.answer().status for _ in range(3)] == [200] * 3


def test_the_root_names_the_documentation_and_crawlers_are_asked_to_stay_away(api):
    client = api.as_(None)
    assert client.get("/").json()["docs"] == "/docs"
    robots = client.get("/robots.txt")
    assert robots.text == "User-agent: *\nDisallow: /\n"
    assert robots.headers["content-type"].startswith("text/plain")
