from collections import Counter

import pytest
from linking import TARGET, Api, LinkGateway, api_in, at_once, problem
from redirecting import KEYS, eventually
from serving import serving

from connectors.gateway.links import creation as module
from connectors.gateway.links.settings import LinkSettings
from schemas.links import LinkRequested, LinkSubmitted
from streams.links.keys import KEY_LENGTH
from streams.links.rules import RESERVED

URLS = "/api/v1/urls"
BULK = f"{URLS}/bulk"
FAST = {"applied_timeout_s": 0.2}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with api_in(tmp_path_factory.mktemp("creation")) as api:
        yield api


def post(api: Api, **fields):
    return api.acme.post(URLS, json={"long_url": TARGET, **fields})


def bulk(api: Api, *urls, **params):
    return api.acme.post(
        BULK, json={"urls": [{"long_url": TARGET, **u} for u in urls]}, params=params
    )


def test_generated_keys_differ_and_are_as_long_as_keys_are(api: Api):
    keys = {api.make()["key"] for _ in range(50)}
    assert len(keys) == 50
    assert {len(key) for key in keys} == {KEY_LENGTH}


def test_of_many_who_claim_an_alias_at_once_exactly_one_gets_it(api: Api):
    clients = [api.client(f"tenant{n}") for n in range(12)]
    body = {"long_url": TARGET, "custom_alias": "wanted"}
    answers = at_once([lambda c=client: c.post(URLS, json=body) for client in clients])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 11}
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert problem(refused) == (409, ["custom_alias"])
    (winner,) = (n for n, answer in enumerate(answers) if answer.status_code == 201)
    assert api.link("wanted").tenant == f"tenant{winner}"


def test_a_generated_key_that_an_alias_has_is_left_to_it(tmp_path):
    alias = KEYS.key(0)
    with api_in(tmp_path) as api:
        assert api.make(custom_alias=alias)["key"] == alias
        assert api.make()["key"] == KEYS.key(1)
        assert api.link(alias).is_alias


def test_reserved_keys_are_never_generated(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.links.rules.RESERVED", RESERVED | {KEYS.key(0).lower()})
    with api_in(tmp_path) as api:
        assert api.make()["key"] == KEYS.key(1)
        assert api.claims(KEYS.key(0)) == []


def test_two_gateways_and_one_that_starts_again_never_make_the_same_key(tmp_path):
    keys: list[str] = []
    with api_in(tmp_path) as api, api.platform.running(LinkGateway, LinkSettings()) as second:
        other = api.client("acme", gateway=second)
        for _ in range(10):
            keys.append(api.make()["key"])
            keys.append(other.post(URLS, json={"long_url": TARGET}).json()["key"])
    with api_in(tmp_path) as api:
        keys += [api.make()["key"] for _ in range(10)]
    counters = [KEYS.counter(key) for key in keys]
    assert len(set(keys)) == 30
    assert {counter // 1_000 for counter in counters} == {0, 1, 2}


def test_a_raised_base_keeps_a_restored_platform_from_keys_of_its_former_life(tmp_path):
    settings = LinkSettings(base=500)
    with api_in(tmp_path, settings) as api:
        assert KEYS.counter(api.make()["key"]) == 500_000


def test_blocks_are_fetched_ahead(tmp_path):
    with api_in(tmp_path) as api:
        assert bulk(api, *[{}] * 600).status_code == 201
        eventually(lambda: api.platform.log.bounds("blocks", 0)[1] == 2)


def test_a_region_without_keys_still_gives_aliases(tmp_path):
    with api_in(tmp_path, LinkSettings(base=10**9)) as api:
        assert problem(post(api))[0] == 503
        assert api.make(custom_alias="alias")["key"] == "alias"


# Targets


def chain_app(paths: dict[str, str | None]):
    """Redirects from path to path; None: that is the end."""
    seen: list[str] = []

    async def app(scope, receive, send):
        path = scope["path"]
        seen.append(path)
        to = paths.get(path)
        headers = [] if to is None else [(b"location", to.encode())]
        await send(
            {"type": "http.response.start", "status": 302 if to else 200, "headers": headers}
        )
        await send({"type": "http.response.body", "body": b""})

    return app, seen


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    settings = LinkSettings(allow_private=True, blocked_hosts=("evil.example",))
    with api_in(tmp_path_factory.mktemp("private"), settings) as api:
        yield api


def test_links_lead_to_where_their_targets_redirects_end(private: Api):
    app, _ = chain_app({"/a": "/b", "/b": "/c", "/c": None})
    with serving(app) as target:
        base = f"http://127.0.0.1:{target.port}"
        link = private.make(long_url=f"{base}/a")
        assert link["long_url"] == f"{base}/c"
        answer = private.acme.patch(f"{URLS}/{link['key']}", json={"long_url": f"{base}/b#x"})
        assert answer.json()["long_url"] == f"{base}/c#x"


def test_a_gateway_that_follows_no_redirects_asks_nobody(tmp_path):
    app, asked = chain_app({"/a": "/b", "/b": None})
    settings = LinkSettings(allow_private=True, follow_redirects=False)
    with serving(app) as target, api_in(tmp_path, settings) as api:
        url = f"http://127.0.0.1:{target.port}/a"
        link = api.make(long_url=url)
        changed = api.acme.patch(f"{URLS}/{link['key']}", json={"long_url": f"{url}?again"})
        assert (link["long_url"], changed.json()["long_url"]) == (url, f"{url}?again")
    assert not asked


@pytest.mark.parametrize(
    "paths",
    [
        {"/a": "/b", "/b": "/a"},
        {"/a": "https://sho.rt/x"},
        {"/a": "https://evil.example/"},
        {"/a": "ftp://example.com/"},
        {"/a": "/1", **{f"/{n}": f"/{n + 1}" for n in range(1, 9)}},
    ],
    ids=["loop", "our own", "blocked", "scheme", "too long"],
)
def test_targets_that_redirect_to_what_may_not_be_are_refused(private: Api, paths):
    app, _ = chain_app(paths)
    with serving(app) as target:
        url = f"http://127.0.0.1:{target.port}/a"
        assert problem(post(private, long_url=url)) == (400, ["long_url"])


def test_a_target_that_does_not_answer_refuses_no_link(private: Api):
    assert private.make(long_url="http://127.0.0.1:9/discarded")["long_url"].endswith("/discarded")


def test_targets_of_a_bulk_are_not_fetched(private: Api):
    app, seen = chain_app({"/a": "/b"})
    with serving(app) as target:
        url = f"http://127.0.0.1:{target.port}/a"
        (made,) = bulk(private, {"long_url": url}).json()["urls"]
        assert made["url"]["long_url"] == url
    assert seen == []


# Idempotency-Key


def again(api: Api, key: str, **fields):
    body = {"long_url": TARGET, **fields}
    return api.acme.post(URLS, json=body, headers={"Idempotency-Key": key})


def test_a_repeated_request_makes_one_link(api: Api):
    first, second = again(api, "k1", tags=["a"]), again(api, "k1", tags=["a"])
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


def test_a_request_that_is_repeated_at_once_makes_one_link(api: Api):
    answers = at_once([lambda: again(api, "k2")] * 8)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["key"] for answer in answers}) == 1


def test_a_repeated_request_shows_the_link_as_it_is_now(api: Api):
    key = again(api, "k3").json()["key"]
    changed = api.acme.patch(f"{URLS}/{key}", json={"tags": ["changed"]}).json()
    assert again(api, "k3").json() == changed


def test_an_idempotency_key_is_refused_with_another_request(api: Api):
    key = again(api, "k4", tags=["a"]).json()["key"]
    assert problem(again(api, "k4", tags=["b"])) == (422, ["Idempotency-Key"])
    assert api.link(key).tags == ("a",)


def test_the_idempotency_keys_of_tenants_are_their_own(api: Api):
    other = api.client("other")
    headers = {"Idempotency-Key": "k5"}
    answer = other.post(URLS, json={"long_url": TARGET, "tags": ["theirs"]}, headers=headers)
    assert answer.status_code == 201
    assert again(api, "k5").json()["key"] != answer.json()["key"]


def test_a_request_that_was_refused_does_not_use_its_idempotency_key_up(api: Api):
    api.make(custom_alias="occupied")
    assert problem(again(api, "k6", custom_alias="occupied")) == (409, ["custom_alias"])
    assert problem(again(api, "k6", custom_alias="x")) == (400, ["custom_alias"])
    assert again(api, "k6", custom_alias="vacant").json()["key"] == "vacant"


def test_repeating_the_request_of_a_deleted_link_does_not_bring_it_back(api: Api):
    key = again(api, "k7").json()["key"]
    api.acme.delete(f"{URLS}/{key}")
    assert problem(again(api, "k7")) == (409, ["Idempotency-Key"])


def test_passwords_of_repeated_requests_are_told_apart_without_being_written(api: Api):
    again(api, "k8", password="hunter2-hunter2")
    assert again(api, "k8", password="hunter2-hunter2").status_code == 201
    assert again(api, "k8", password="hunter3-hunter3").status_code == 422
    (submitted, *_) = [
        e
        for e in api.events("submissions")
        if isinstance(e, LinkSubmitted) and e.reference.endswith("/k8")
    ]
    assert submitted.fingerprint and "hunter2" not in repr(submitted)


@pytest.mark.parametrize("key", ["", "with space", "x" * 256])
def test_idempotency_keys_that_are_none_are_refused(api: Api, key):
    assert problem(again(api, key)) == (400, ["Idempotency-Key"])


# External ids


def test_asking_again_under_an_external_id_changes_the_link_and_keeps_its_key(api: Api):
    first = post(api, external_id="e1", tags=["a"], max_clicks=5)
    second = post(api, external_id="e1", long_url="https://example.org/", tags=["b"])
    assert (first.status_code, second.status_code) == (201, 200)
    expected = {"long_url": "https://example.org/", "tags": ["b"], "max_clicks": None}
    assert second.json() == first.json() | expected
    assert api.acme.get(f"{URLS}/{first.json()['key']}").json() == second.json()


def test_an_external_id_that_is_asked_for_at_once_has_one_link(api: Api):
    answers = at_once([lambda n=n: post(api, external_id="e2", max_clicks=n + 1) for n in range(8)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
    assert len({answer.json()["key"] for answer in answers}) == 1


def test_asking_again_leaves_a_disabled_link_disabled(api: Api):
    key = post(api, external_id="e3").json()["key"]
    api.acme.patch(f"{URLS}/{key}", json={"disabled": True})
    assert post(api, external_id="e3").json()["status"] == "disabled"


def test_asking_again_with_another_alias_keeps_the_key_and_says_so(api: Api):
    post(api, external_id="e4", custom_alias="first-alias")
    answer = post(api, external_id="e4", custom_alias="second-alias").json()
    assert answer["key"] == "first-alias"
    assert "keeps its key" in answer["warnings"][0]
    assert api.link("second-alias") is None


def test_an_external_id_whose_alias_was_taken_is_free_again(api: Api):
    api.make(custom_alias="somebody-elses")
    refused = post(api, external_id="e5", custom_alias="somebody-elses")
    assert problem(refused) == (409, ["custom_alias"])
    assert post(api, external_id="e5", custom_alias="own-alias").json()["key"] == "own-alias"


def test_an_external_id_whose_link_was_deleted_gets_a_new_one(api: Api):
    first = post(api, external_id="e6").json()["key"]
    api.acme.delete(f"{URLS}/{first}")
    second = post(api, external_id="e6")
    assert (second.status_code, second.json()["key"] != first) == (201, True)


def test_asking_for_and_deleting_an_external_id_at_once_ends_with_a_link_or_none(api: Api):
    for n in range(6):
        key = post(api, external_id=f"race{n}").json()["key"]
        answer, deleted = at_once(
            [
                lambda n=n: post(api, external_id=f"race{n}", tags=["again"]),
                lambda key=key: api.acme.delete(f"{URLS}/{key}"),
            ]
        )
        assert deleted.status_code == 204
        assert answer.status_code in (200, 201)
        (link, *_) = api.acme.get(URLS, params={"external_id": f"race{n}"}).json()["urls"] or [None]
        assert (link is None) == (answer.json()["key"] == key)


def test_external_ids_of_tenants_are_their_own(api: Api):
    mine = post(api, external_id="e7").json()["key"]
    theirs = api.client("other").post(URLS, json={"long_url": TARGET, "external_id": "e7"})
    assert (theirs.status_code, theirs.json()["key"] != mine) == (201, True)


# Bulk


def test_a_bulk_makes_links_in_their_order(api: Api):
    tags = [[f"bulk{n}"] for n in range(200)]
    answer = bulk(api, *({"tags": t} for t in tags))
    made = answer.json()["urls"]
    assert (answer.status_code, answer.json()["errors"]) == (201, [])
    assert [m["index"] for m in made] == list(range(200))
    assert [m["url"]["tags"] for m in made] == tags
    assert len({m["url"]["key"] for m in made}) == 200
    after = {"Sixfold-After": made[7]["position"]}
    assert api.acme.get(f"{URLS}/{made[7]['url']['key']}", headers=after).json() == made[7]["url"]


def test_a_thousand_links_are_made_at_once_and_no_more(api: Api):
    assert len(bulk(api, *[{}] * 1_000).json()["urls"]) == 1_000
    assert problem(bulk(api, *[{}] * 1_001)) == (400, ["urls"])
    assert problem(api.acme.post(BULK, json={"urls": []})) == (400, ["urls"])


MIXED = [
    {"tags": ["good"]},
    {"long_url": "ftp://example.com/"},
    {"custom_alias": "bulk-taken"},
    {"custom_alias": "bulk-twice"},
    {"custom_alias": "bulk-twice"},
    {"ttl": 0},
]
WRONG = [(1, "long_url"), (2, "custom_alias"), (4, "custom_alias"), (5, "ttl")]


def errors(answer):
    return [(error["index"], error["field"]) for error in answer.json()["errors"]]


def test_a_bulk_is_made_whole_or_not_at_all(tmp_path):
    with api_in(tmp_path) as api:
        api.make(custom_alias="bulk-taken")
        answer = bulk(api, *MIXED)
        assert (answer.status_code, errors(answer)) == (400, WRONG)
        assert len(api.events("links")) == 1
        partial = bulk(api, *MIXED, partial=True)
        assert (partial.status_code, errors(partial)) == (201, WRONG)
        assert [made["index"] for made in partial.json()["urls"]] == [0, 3]


def test_a_bulk_of_which_nothing_is_good_is_refused_even_in_part(api: Api):
    answer = bulk(api, {"ttl": 0}, partial=True)
    assert (answer.status_code, errors(answer)) == (400, [(0, "ttl")])


def test_a_bulk_that_is_malformed_is_refused_by_its_field(api: Api):
    assert problem(bulk(api, {}, {"ttl": "x"})) == (400, ["urls[1].ttl"])


def test_an_alias_that_is_claimed_meanwhile_is_refused_alone(api: Api, monkeypatch):
    async def free(*_):
        return True

    monkeypatch.setattr(module.Creation, "is_free", free)
    api.make(custom_alias="meanwhile")
    answer = bulk(api, {}, {"custom_alias": "meanwhile"})
    assert (answer.status_code, errors(answer)) == (201, [(1, "custom_alias")])
    assert [made["index"] for made in answer.json()["urls"]] == [0]


def test_a_repeated_bulk_makes_its_links_once(api: Api):
    body = {"urls": [{"long_url": TARGET}, {"long_url": TARGET, "custom_alias": "bulk-again"}]}
    headers = {"Idempotency-Key": "bulk"}
    first, second = (api.acme.post(BULK, json=body, headers=headers).json() for _ in range(2))
    assert [m["url"] for m in first["urls"]] == [m["url"] for m in second["urls"]]
    assert second["errors"] == []


def test_a_bulk_of_external_ids_makes_and_changes(api: Api):
    urls = [{"external_id": "x1"}, {"external_id": "x2"}, {"external_id": "x1", "tags": ["later"]}]
    one, two, three = bulk(api, *urls).json()["urls"]
    assert one["url"]["key"] == three["url"]["key"] != two["url"]["key"]
    assert api.link(one["url"]["key"]).tags == ("later",)


# When things are slow or broken


def test_what_is_not_decided_in_time_is_accepted_with_its_position(tmp_path):
    with api_in(tmp_path, **FAST) as api:
        path = f"{URLS}/{api.make()['key']}"
        api.platform.folds_rest = True
        answers = {
            "made": post(api, custom_alias="later"),
            "submitted": post(api, external_id="later"),
            "changed": api.acme.patch(path, json={"tags": ["later"]}),
        }
        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
            answers, 202
        )
        assert api.acme.delete(path).status_code == 202
        (undecided,) = bulk(api, {}).json()["urls"]
        assert undecided["url"] is None
        api.platform.folds_rest = False
        position = answers["made"].json()["position"]
        assert answers["made"].headers["sixfold-position"] == position
        read = api.acme.get(f"{URLS}/later", headers={"Sixfold-After": position})
        assert read.status_code in (200, 503)
        eventually(lambda: api.acme.get(f"{URLS}/later").status_code == 200)
        assert post(api, external_id="later").status_code == 200
        assert api.acme.get(path).status_code == 404


def test_nothing_is_made_while_the_log_is_down(tmp_path):
    with api_in(tmp_path) as api:
        path = f"{URLS}/{api.make()['key']}"
        api.gateway.log.refuses = True
        for answer in (
            post(api),
            post(api, external_id="e"),
            again(api, "k"),
            bulk(api, {}),
            api.acme.patch(path, json={"tags": ["x"]}),
            api.acme.delete(path),
        ):
            assert problem(answer)[0] == 503
            assert answer.headers["retry-after"]
        assert api.acme.get(path.removeprefix(URLS)).status_code == 302
        api.gateway.log.refuses = False
        assert again(api, "k").status_code == 201


def test_keys_run_out_only_while_no_block_can_be_granted(tmp_path):
    with api_in(tmp_path) as api:
        api.gateway.log.refuses = True
        assert problem(post(api))[0] == 503
        api.gateway.log.refuses = False
        assert api.make()["key"] == KEYS.key(0)


def test_waiting_for_decisions_does_not_hold_up_others(tmp_path):
    with api_in(tmp_path, applied_timeout_s=2.0) as api:
        api.platform.folds_rest = True
        waiting, health = at_once([lambda: post(api), lambda: api.acme.get("/health/live")])
        assert waiting.status_code == 202
        assert health.elapsed < waiting.elapsed / 2


def test_who_made_a_link_is_known_by_their_pseudonym_alone(api: Api):
    claim = api.claims(api.make()["key"])
    assert [type(c) for c in claim] == [LinkRequested]
    assert claim[0].created_by is None  # an API key is nobody's


def test_a_user_who_makes_a_link_is_named_in_the_log_by_a_pseudonym_alone(api: Api):
    caller = api.user("acme", "ann@example.com")
    key = caller.post(URLS, json={"long_url": TARGET}).json()["key"]
    pseudonym = api.platform.vault.find("acme", "ann@example.com")
    assert [claim.created_by for claim in api.claims(key)] == [pseudonym]
    assert api.link(key).created_by == pseudonym
    assert pseudonym not in caller.get(f"{URLS}/{key}").text


def test_users_of_one_signing_key_have_limits_of_their_own(tmp_path):
    with api_in(tmp_path, LinkSettings(creations_per_minute=1)) as api:
        ann, bob = api.user("acme", "ann"), api.user("acme", "bob")
        answers = [c.post(URLS, json={"long_url": TARGET}).status_code for c in (ann, bob, ann)]
        assert answers == [201, 201, 429]
