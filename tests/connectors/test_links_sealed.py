"""Links made with `sealed`: where they lead is somebody's, and is forgotten with them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from linking import TARGET, Api, LinkGateway, api_in, problem
from redirecting import Gateway, eventually

from connectors.gateway.links.settings import LinkSettings
from streams.erasing import erase

URLS = "/api/v1/urls"
SECRET = "https://clinic.example/ann/results"
ALSO = "https://clinic.example/ann/over"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with api_in(tmp_path) as api:
        yield api


def make(api: Api, client: Any = None, **fields: Any) -> dict[str, Any]:
    body = {"long_url": SECRET, "sealed": True, "owner": "ann", **fields}
    answer = (client or api.acme).post(URLS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def forget(api: Api, person: str = "ann") -> None:
    """Erase a person, as the platform does."""
    platform = api.platform
    subject = platform.vault.find("acme", person)
    assert subject is not None
    platform.vault.destroy("acme", subject)
    erase(platform.log, platform.sealer, "acme", [subject], datetime.now(UTC)).result(timeout=5)


def location(gateway: Gateway, key: str) -> str | None:
    answer = gateway.get(f"/{key}")
    return answer.headers.get("location") if answer.status == 302 else None


def stored(directory: Path, api: Api) -> str:
    """Everything that is stored, decoded: records of the log, rows of all tables, other files."""
    log = api.platform.log
    records = [
        value
        for topic, partitions in log.topics().items()
        for partition in range(partitions)
        if (found := log.read(topic, partition, 0, 100_000)) is not None
        for value in found.values
    ]
    reader = log.reader()
    tables = reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    rows = [
        value if isinstance(value, bytes) else str(value).encode()
        for (table,) in tables
        for row in reader.execute(f"SELECT * FROM {table}")
        for value in row
    ]
    files = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    return b"\n".join([*records, *rows, *files]).decode("latin-1")


def test_a_sealed_link_redirects_and_is_shown_as_any_other(api: Api):
    made = make(api, expired_url=ALSO)
    assert (made["long_url"], made["expired_url"], made["sealed"]) == (SECRET, ALSO, True)
    assert location(api.gateway, made["key"]) == SECRET
    assert location(api.gateway, made["key"]) == SECRET  # from memory
    assert api.acme.get(f"{URLS}/{made['key']}").json() == made
    assert api.acme.get(URLS).json()["urls"] == [made]


def test_an_ordinary_link_is_not_sealed(api: Api):
    assert api.make()["sealed"] is False


def test_a_link_that_is_not_sealed_has_no_owner(api: Api):
    answer = api.acme.post(URLS, json={"long_url": SECRET, "owner": "ann"})
    assert problem(answer) == (400, ["owner"])
    assert "sealed" in answer.json()["detail"]


def test_it_ends_as_any_other(api: Api):
    key = make(api, expired_url=ALSO, ttl=60)["key"]
    api.gateway.later_s = 61
    assert location(api.gateway, key) == ALSO


def test_its_owner_is_whoever_is_signed_in(api: Api):
    user = api.user("acme", "ann")
    answer = user.post(URLS, json={"long_url": SECRET, "sealed": True})
    assert answer.status_code == 201
    assert api.link(answer.json()["key"]).created_by == api.platform.vault.find("acme", "ann")
    other = user.post(URLS, json={"long_url": SECRET, "sealed": True, "owner": "bob"})
    assert problem(other) == (400, ["owner"])


def test_without_an_owner_nothing_is_sealed(api: Api):
    answer = api.acme.post(URLS, json={"long_url": SECRET, "sealed": True})
    assert problem(answer) == (400, ["owner"])
    urls = [{"long_url": TARGET}, {"long_url": SECRET, "sealed": True}]
    many = api.acme.post(f"{URLS}/bulk", json={"urls": urls})
    assert problem(many) == (400, ["owner"])
    assert many.json()["errors"][0]["index"] == 1


def test_browsers_may_not_remember_a_sealed_address(api: Api):
    body = {"long_url": SECRET, "sealed": True, "owner": "ann", "redirect_code": 301}
    assert problem(api.acme.post(URLS, json=body)) == (400, ["redirect_code"])
    key = make(api)["key"]
    answer = api.acme.patch(f"{URLS}/{key}", json={"redirect_code": 308})
    assert problem(answer) == (400, ["redirect_code"])


def test_many_may_be_sealed_for_many(api: Api):
    urls = [{"long_url": f"{SECRET}/{n}", "sealed": True, "owner": f"p{n % 3}"} for n in range(9)]
    made = api.acme.post(f"{URLS}/bulk", json={"urls": urls}).json()["urls"]
    assert [one["url"]["long_url"] for one in made] == [one["long_url"] for one in urls]
    forget(api, "p1")
    gone = [n for n, one in enumerate(made) if n % 3 == 1]
    eventually(lambda: all(api.link(made[n]["url"]["key"]).deleted for n in gone))
    left = {link["long_url"] for link in api.acme.get(URLS).json()["urls"]}
    assert left == {f"{SECRET}/{n}" for n in range(9) if n not in gone}


def test_a_change_keeps_it_sealed(api: Api, tmp_path: Path):
    key = make(api, expired_url=ALSO)["key"]
    changed = api.acme.patch(f"{URLS}/{key}", json={"tags": ["a"]}).json()
    assert (changed["long_url"], changed["expired_url"]) == (SECRET, ALSO)
    other = "https://clinic.example/ann/other"
    changed = api.acme.patch(f"{URLS}/{key}", json={"long_url": other, "expired_url": None}).json()
    assert (changed["long_url"], changed["expired_url"]) == (other, None)
    assert changed["sealed"]
    eventually(lambda: location(api.gateway, key) == other)
    assert "clinic.example" not in stored(tmp_path, api)


def test_asking_again_under_an_external_id_or_an_idempotency_key_finds_it(api: Api):
    made = make(api, external_id="42")
    body = {"long_url": ALSO, "sealed": True, "owner": "bob", "external_id": "42"}
    again = api.acme.post(URLS, json=body)
    assert (again.status_code, again.json()["key"]) == (200, made["key"])
    assert again.json()["long_url"] == ALSO
    assert api.link(made["key"]).created_by == api.platform.vault.find("acme", "bob")
    body = {"long_url": SECRET, "sealed": True, "owner": "ann"}
    headers = {"Idempotency-Key": "once"}
    keys = {api.acme.post(URLS, json=body, headers=headers).json()["key"] for _ in range(2)}
    assert len(keys) == 1


def test_once_its_owner_is_erased_it_is_gone_from_every_gateway_within_a_second(api: Api):
    kept, gone = api.make()["key"], make(api)["key"]
    with api.platform.running(LinkGateway, LinkSettings()) as other:
        for gateway in (api.gateway, other):
            assert location(gateway, gone) == SECRET
            assert location(gateway, kept) == TARGET
        forget(api)
        since_s = time.monotonic()
        for gateway in (api.gateway, other):
            eventually(lambda g=gateway: g.get(f"/{gone}").status == 410)
        assert time.monotonic() - since_s < 1.0
        assert location(other, kept) == TARGET
    assert api.acme.get(f"{URLS}/{gone}").status_code == 404
    assert [link["key"] for link in api.acme.get(URLS).json()["urls"]] == [kept]
    answer = api.acme.post(URLS, json={"long_url": SECRET, "sealed": True, "owner": "ann"})
    assert problem(answer) == (400, ["owner"])


def test_between_erasure_in_the_vault_and_in_the_fold_it_is_gone_too(api: Api):
    key = make(api)["key"]
    api.platform.folds_rest = True
    forget(api)
    assert api.gateway.get(f"/{key}").status == 410
    api.platform.folds_rest = False


def test_nothing_stored_yields_the_address(api: Api, tmp_path: Path):
    api.make(long_url="https://control.example/")
    for fields in ({}, {"external_id": "42"}):
        key = make(api, expired_url=ALSO, **fields)["key"]
        location(api.gateway, key)
        api.acme.patch(f"{URLS}/{key}", json={"tags": ["a"]})
    found = stored(tmp_path, api)
    assert "control.example" in found  # the positive control
    assert "clinic.example" not in found
