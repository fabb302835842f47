import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from api import running
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from litestar import get

from connectors.gateway.given import Caller
from connectors.gateway.recent import Recent
from schemas.access import ApiKeyRevoked
from schemas.ids import uuid7
from streams.sealing import Origin, Sealer


@get("/who", scope="links:read")
async def who(caller: Caller) -> dict[str, str | list[str] | None]:
    return {
        "tenant": caller.tenant,
        "key": caller.key,
        "subject": caller.subject,
        "scopes": sorted(caller.scopes),
    }


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running(tmp_path_factory.mktemp("api"), [who]) as api:
        yield api


def me(api, credentials) -> httpx.Response:
    return api.as_(credentials).get("/who")


def refused(answer, reason) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert reason in answer.json()["detail"]


def test_credentials_are_needed(api):
    refused(me(api, None), "send Authorization")
    headers = {"Authorization": "Basic dTpw"}
    refused(httpx.get(f"{api.client.base_url}/who", headers=headers), "Bearer")


@pytest.mark.parametrize("text", ["sk_0123_4567", "sk_x", "nonsense", "a.b.c", "?"])
def test_bad_credentials_are_refused(api, text):
    assert me(api, text).status_code == 401


@pytest.mark.parametrize("text", ["sk_x", "sk-0123-4567", "nonsense"])
def test_a_mistyped_key_is_told_from_a_bad_token(api, text):
    refused(me(api, text), "neither an API key (sk_…) nor a JWT")


def test_a_key_works_as_soon_as_it_is_created(api):
    text = api.new_key("acme", "links:read", "links:write")
    found = me(api, text).json()
    assert found["tenant"] == "acme"
    assert found["scopes"] == ["links:read", "links:write"]
    assert found["subject"] is None


def test_another_secret_of_a_key_is_refused(api):
    text = api.new_key("acme", "links:read")
    refused(me(api, text[:-1] + ("0" if text[-1] != "0" else "1")), "unknown")


def test_a_missing_scope_is_named(api):
    answer = me(api, api.new_key("acme", "links:write"))
    assert answer.status_code == 403
    assert answer.json()["scope"] == "links:read"
    assert 'scope="links:read"' in answer.headers["www-authenticate"]


def test_an_admin_may_everything(api):
    assert api.client.get("/who").status_code == 200


def test_a_revoked_key_is_refused(api):
    text = api.new_key("acme", "links:read")
    assert me(api, text).status_code == 200
    answer = api.client.delete(f"/api/v1/keys/{text.split('_')[1]}")
    assert answer.status_code == 204
    assert answer.headers["sixfold-position"].startswith("access/")
    refused(me(api, text), "revoked")


def test_another_gateway_refuses_a_revoked_key_within_a_second(api):
    """As does this one, whose cache is not told when the event is appended directly."""
    text = api.new_key("acme", "links:read")
    key = text.split("_")[1]
    assert me(api, text).status_code == 200

    origin = Origin(source="elsewhere", tenant="acme", time=datetime.now(UTC))
    entry = Sealer(api.catalog, api.vault).entry(ApiKeyRevoked(key), origin, uuid7(0))
    api.log.append([entry]).result()
    started_s = time.monotonic()
    while me(api, text).status_code == 200:
        assert time.monotonic() - started_s < 1.0
        time.sleep(0.02)


def test_an_expired_key_is_refused(api):
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    body = {"name": "short", "scopes": ["links:read"], "expires_at": soon.isoformat()}
    text = api.client.post("/api/v1/keys", json=body).json()["api_key"]
    while datetime.now(UTC) < soon:
        time.sleep(0.02)
    refused(me(api, text), "expired")


def test_a_rotated_key_has_two_secrets_for_a_time(api):
    old = api.new_key("acme", "links:read")
    answer = api.client.post(f"/api/v1/keys/{old.split('_')[1]}/rotate", json={"overlap_s": 60})
    new = answer.json()["api_key"]
    assert new != old
    assert new.split("_")[1] == old.split("_")[1]
    assert [me(api, text).status_code for text in (old, new)] == [200, 200]


def test_a_rotated_key_loses_its_old_secret(api):
    old = api.new_key("acme", "links:read")
    answer = api.client.post(f"/api/v1/keys/{old.split('_')[1]}/rotate", json={"overlap_s": 0})
    assert me(api, answer.json()["api_key"]).status_code == 200
    refused(me(api, old), "unknown")


def test_keys_are_listed_page_by_page(api):
    made = {api.new_key("lister", "links:read").split("_")[1] for _ in range(5)}
    client = api.as_(api.new_key("lister", "keys:admin"))
    found, cursor = [], {}
    while True:
        page = client.get("/api/v1/keys", params={"limit": 2, **cursor}).json()
        assert len(page["keys"]) <= 2
        found += [key["id"] for key in page["keys"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert made < set(found)
    assert found == sorted(found)
    assert len(found) == 6
    assert "secret" not in str(client.get("/api/v1/keys").json())


def test_a_cursor_is_good_for_its_tenant_only_and_not_to_be_changed(api):
    for _ in range(2):
        api.new_key("one", "links:read")
    one = api.as_(api.new_key("one", "keys:admin"))
    other = api.as_(api.new_key("other", "keys:admin"))
    cursor = one.get("/api/v1/keys", params={"limit": 1}).json()["next"]
    swapped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for client, text in ((other, cursor), (one, swapped), (one, "x"), (one, ""), (one, "é")):
        answer = client.get("/api/v1/keys", params={"cursor": text})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "cursor"


def test_keys_of_other_tenants_are_not_there(api):
    theirs = api.new_key("theirs", "links:read").split("_")[1]
    mine = api.as_(api.new_key("mine", "keys:admin"))
    assert mine.delete(f"/api/v1/keys/{theirs}").status_code == 404
    assert mine.post(f"/api/v1/keys/{theirs}/rotate", json={}).status_code == 404
    assert theirs not in mine.get("/api/v1/keys").text


def test_only_admins_may_name_another_tenant(api):
    mine = api.as_(api.new_key("mine", "keys:admin", "links:read"))
    body = {"name": "x", "scopes": ["links:read"], "tenant": "theirs"}
    answer = mine.post("/api/v1/keys", json=body)
    assert (answer.status_code, answer.json()["scope"]) == (403, "admin")
    assert mine.get("/api/v1/keys?tenant=theirs").status_code == 403
    assert mine.post("/api/v1/keys", json=body | {"tenant": "mine"}).status_code == 201


def test_nobody_gives_more_than_they_have(api):
    mine = api.as_(api.new_key("mine", "keys:admin"))
    answer = mine.post("/api/v1/keys", json={"name": "x", "scopes": ["links:read"]})
    assert (answer.status_code, answer.json()["scope"]) == (403, "links:read")


def test_nobody_takes_over_a_key_that_may_more(api):
    strong = api.new_key("mine", "links:read").split("_")[1]
    mine = api.as_(api.new_key("mine", "keys:admin"))
    assert mine.post(f"/api/v1/keys/{strong}/rotate", json={}).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["links:read"]}, "name"),
        ({"name": "", "scopes": ["links:read"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["world:rule"]}, "scopes"),
        ({"name": "x", "scopes": ["links:read"], "admin": True}, "admin"),
        ({"name": "x", "scopes": ["links:read"], "tenant": "a/b"}, "tenant"),
        (
            {"name": "x", "scopes": ["links:read"], "expires_at": "2020-01-01T00:00:00Z"},
            "expires_at",
        ),
        (
            {"name": "x", "scopes": ["links:read"], "expires_at": "2030-01-01T00:00:00"},
            "expires_at",
        ),
    ],
)
def test_a_bad_key_is_refused_naming_the_field(api, body, field):
    answer = api.client.post("/api/v1/keys", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_a_repeated_creation_gives_the_same_key(api):
    body = {"name": "once", "scopes": ["links:read"], "tenant": "repeater"}
    headers = {"Idempotency-Key": "create-once"}
    first, again = (api.client.post("/api/v1/keys", json=body, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert me(api, first.json()["api_key"]).status_code == 200
    listed = api.client.get("/api/v1/keys?tenant=repeater").json()["keys"]
    assert len(listed) == 1


def test_a_key_is_rotated_without_a_body(api):
    old = api.new_key("acme", "links:read")
    answer = api.client.post(f"/api/v1/keys/{old.split('_')[1]}/rotate")
    assert answer.status_code == 200, answer.text
    assert me(api, answer.json()["api_key"]).status_code == 200
    assert me(api, old).status_code == 200


def test_a_repeated_rotation_keeps_the_old_secret_good(api):
    old = api.new_key("acme", "links:read")
    path = f"/api/v1/keys/{old.split('_')[1]}/rotate"
    headers = {"Idempotency-Key": f"rotate-{old}"}
    texts = {api.client.post(path, json={}, headers=headers).json()["api_key"] for _ in range(2)}
    assert len(texts) == 1
    assert me(api, old).status_code == 200


def test_a_bad_idempotency_key_is_refused(api):
    answer = api.client.post(
        "/api/v1/keys",
        json={"name": "x", "scopes": ["links:read"]},
        headers={"Idempotency-Key": "two words"},
    )
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


# Tokens

SECRET = "a secret that is long enough for HS256"
PRIVATE = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def pem(private) -> str:
    return (
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )


def add(api, algorithm="ES256", **changes) -> str:
    """Add a signing key; its kid."""
    secret = {"secret": SECRET} if algorithm == "HS256" else {"public_key": pem(PRIVATE[algorithm])}
    body = {"algorithm": algorithm, "audience": "app", "scopes": ["links:read", "links:write"]}
    answer = api.client.post("/api/v1/signing-keys", json=body | secret | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()["kid"]


def token(kid, algorithm="ES256", key=None, **changes) -> str:
    claims = {"aud": "app", "exp": time.time() + 60, "sub": "ann"} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    key = key or PRIVATE.get(algorithm, SECRET)
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else {})


@pytest.fixture(scope="module")
def kid(api):
    return add(api, tenant="customer")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_a_token_is_let_in_as_its_subject(api, algorithm):
    kid = add(api, algorithm, tenant="customer")
    found = me(api, token(kid, algorithm)).json()
    assert found["tenant"] == "customer"
    assert found["key"] == kid
    assert found["subject"] == api.vault.find("customer", "ann")


def test_a_token_may_have_no_subject(api, kid):
    assert me(api, token(kid, sub=None)).json()["subject"] is None


def test_the_tenant_of_a_token_is_its_key_s(api, kid):
    assert me(api, token(kid, tenant="acme")).json()["tenant"] == "customer"


def test_a_token_may_ask_for_less_but_not_for_more(api, kid):
    narrowed = me(api, token(kid, scope="links:read admin")).json()
    assert narrowed["scopes"] == ["links:read"]
    assert me(api, token(kid, scope="links:write")).status_code == 403


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "other"}, "Audience"),
        ({"aud": None}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": 1}, "expired"),
        ({"nbf": 4e9}, "not yet valid"),
        ({"sub": 7}, "Subject"),
        ({"sub": ""}, "sub must have 1 to 500 characters"),
        ({"sub": "x" * 501}, "sub must have 1 to 500 characters"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(api, kid, changes, reason):
    refused(me(api, token(kid, **changes)), reason)


def test_a_token_of_another_key_is_refused(api, kid):
    other = ec.generate_private_key(ec.SECP256R1())
    refused(me(api, token(kid, key=other)), "Signature")
    refused(me(api, token("unknown")), "kid")
    refused(me(api, token(None)), "kid")


def test_the_algorithm_is_the_key_s_not_the_token_s(api, kid):
    public = pem(PRIVATE["ES256"])
    refused(me(api, token(kid, "HS256", key=public.replace("-", "x"))), "alg")
    unsigned = jwt.encode({"aud": "app", "exp": 4e9}, None, "none", headers={"kid": kid})
    refused(me(api, unsigned), "alg")


def test_a_clock_may_be_a_little_off(api, kid):
    assert me(api, token(kid, exp=time.time() - 3)).status_code == 200


def test_an_erased_subject_is_not_let_in_again(api, kid):
    subject = api.vault.pseudonym("customer", "bob")
    api.vault.destroy("customer", subject)
    refused(me(api, token(kid, sub="bob")), "erased")


def test_tokens_of_a_removed_key_are_refused(api):
    kid = add(api, "HS256")
    assert me(api, token(kid, "HS256")).status_code == 200
    assert api.client.delete(f"/api/v1/signing-keys/{kid}").status_code == 204
    refused(me(api, token(kid, "HS256")), "kid")
    assert api.vault.secret("acme", f"signing-key/{kid}") is None


def test_signing_keys_of_other_tenants_are_not_there(api, kid):
    mine = api.as_(api.new_key("mine", "keys:admin"))
    assert mine.delete(f"/api/v1/signing-keys/{kid}").status_code == 404
    assert mine.get("/api/v1/signing-keys").json() == {"signing_keys": [], "next": None}
    assert mine.get("/api/v1/signing-keys?tenant=customer").status_code == 403


def test_signing_keys_are_listed_by_page_without_their_secrets(api):
    kids = {add(api, algorithm, tenant="lister"): algorithm for algorithm in ("HS256", "ES256")}
    removed = add(api, "HS256", tenant="lister")
    assert api.client.delete(f"/api/v1/signing-keys/{removed}").status_code == 204
    reader = api.as_(api.new_key("lister", "keys:admin"))
    shown, cursor = [], ""
    while cursor is not None:
        answer = reader.get(f"/api/v1/signing-keys?limit=1{cursor and f'&cursor={cursor}'}")
        assert SECRET not in answer.text
        shown += answer.json()["signing_keys"]
        cursor = answer.json()["next"]
    assert {key["kid"]: key["algorithm"] for key in shown} == kids
    for key in shown:
        assert set(key) == {"kid", "algorithm", "audience", "scopes", "public_key", "added_at"}
        assert key["public_key"] == (pem(PRIVATE["ES256"]) if key["algorithm"] == "ES256" else None)
    assert reader.get("/api/v1/signing-keys").json()["signing_keys"] == shown
    may_not = api.as_(api.new_key("lister", "links:read"))
    assert may_not.get("/api/v1/signing-keys").status_code == 403


PRIVATE_PEM = (
    PRIVATE["ES256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"algorithm": "none"}, "algorithm"),
        ({"algorithm": "HS256"}, "secret"),
        ({"algorithm": "RS256"}, "public_key"),
        ({"secret": SECRET}, "public_key"),
        ({"public_key": "PEM"}, "public_key"),
        ({"public_key": PRIVATE_PEM}, "public_key"),
        ({"algorithm": "HS256", "secret": "short", "public_key": None}, "secret"),
        ({"scopes": ["world:rule"]}, "scopes"),
        ({"audience": ""}, "audience"),
    ],
)
def test_a_bad_signing_key_is_refused_naming_the_field(api, changes, field):
    good = {
        "algorithm": "ES256",
        "audience": "app",
        "scopes": ["links:read"],
        "public_key": pem(PRIVATE["ES256"]),
    }
    answer = api.client.post("/api/v1/signing-keys", json=good | changes)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["field"] == field


# The cache


class Source:
    """What is cached, with a clock that stands still."""

    def __init__(self):
        self.now_s = 100.0
        self.asked = []
        self.recent = Recent(2, 1.0, lambda: self.now_s)

    def get(self, key):
        async def load():
            self.asked.append(key)
            return None if key == "absent" else key.upper()

        return asyncio.run(self.recent.get(key, load))


def test_what_is_recent_is_not_asked_for_again():
    source = Source()
    assert [source.get("a"), source.get("a")] == ["A", "A"]
    assert source.asked == ["a"]


def test_what_is_old_is_asked_for_again():
    source = Source()
    source.get("a")
    source.now_s += 1.0
    source.get("a")
    assert source.asked == ["a", "a"]


def test_what_is_absent_is_asked_for_every_time():
    source = Source()
    assert [source.get("absent"), source.get("absent")] == [None, None]
    assert source.asked == ["absent", "absent"]


def test_only_the_newest_are_kept():
    source = Source()
    for key in ("a", "b", "c", "b", "a"):
        source.get(key)
    assert source.asked == ["a", "b", "c", "a"]


def test_what_is_forgotten_is_asked_for_again():
    source = Source()
    source.get("a")
    source.recent.forget("a")
    source.get("a")
    assert source.asked == ["a", "a"]
