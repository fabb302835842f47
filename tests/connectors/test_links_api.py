from datetime import UTC, datetime, timedelta

import pytest
from linking import PUBLIC_URL, TARGET, Api, api_in, at_once, problem
from redirecting import eventually

from connectors.gateway.links.settings import LinkSettings
from schemas.links import LinkUsedUp

URLS = "/api/v1/urls"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with api_in(tmp_path_factory.mktemp("api")) as api:
        yield api


def test_a_made_link_is_shown_with_everything_that_was_asked(api: Api):
    answer = api.acme.post(
        URLS,
        json={
            "long_url": "HTTPS://Example.com:443/Käse?q=1#top",
            "custom_alias": "cheese",
            "ttl": 3600,
            "expired_url": "https://example.com/over",
            "max_clicks": 5,
            "password": "secret",
            "redirect_code": 307,
            "tags": ["food", "food", "de"],
            "external_id": "sku-1",
            "audit": "required",
        },
    )
    link = answer.json()
    created, expires = link.pop("created_at"), link.pop("expires_at")
    lives = datetime.fromisoformat(expires) - datetime.fromisoformat(created)
    assert abs(lives - timedelta(hours=1)) <= timedelta(milliseconds=1)
    assert link == {
        "key": "cheese",
        "short_url": f"{PUBLIC_URL}/cheese",
        "long_url": "https://example.com/K%C3%A4se?q=1#top",
        "status": "password_required",
        "expired_url": "https://example.com/over",
        "max_clicks": 5,
        "redirect_code": 307,
        "has_password": True,
        "audit": "required",
        "tags": ["food", "de"],
        "external_id": "sku-1",
        "sealed": False,
        "warnings": [],
    }
    assert (answer.status_code, answer.headers["location"]) == (201, f"{URLS}/cheese")
    assert api.link("cheese").terms.password_hash.startswith("$argon2id$")


def test_a_made_link_can_be_read_and_followed_at_once(api: Api):
    for _ in range(20):
        link = api.make()
        assert api.acme.get(f"{URLS}/{link['key']}").json() == link
        followed = api.acme.get(f"/{link['key']}")
        assert (followed.status_code, followed.headers["location"]) == (302, TARGET)


def test_every_write_says_where_it_is_and_reads_can_wait_for_it(api: Api):
    made = api.acme.post(URLS, json={"long_url": TARGET})
    path = f"{URLS}/{made.json()['key']}"
    by_reference = api.acme.post(URLS, json={"long_url": TARGET, "external_id": "waits"})
    changed = api.acme.patch(path, json={"tags": ["x"]})
    reads = [path, f"{path}/stats", URLS]
    for answer in (made, by_reference, changed):
        after = {"Sixfold-After": answer.headers["sixfold-position"]}
        assert [api.acme.get(read, headers=after).status_code for read in reads] == [200] * 3
    deleted = api.acme.delete(path)
    after = {"Sixfold-After": deleted.headers["sixfold-position"]}
    assert (deleted.status_code, api.acme.get(path, headers=after).status_code) == (204, 404)


def test_a_position_that_says_nothing_about_links_is_refused(api: Api):
    path = f"{URLS}/{api.make()['key']}"
    answer = api.acme.get(path, headers={"Sixfold-After": "clicks/0/0"})
    assert problem(answer) == (400, ["Sixfold-After"])


def test_permanent_redirects_are_warned_about(api: Api):
    (warning,) = api.make(redirect_code=301)["warnings"]
    assert "cache" in warning


def test_links_say_what_has_become_of_them(api: Api):
    key = api.make(max_clicks=1, ttl=3600)["key"]
    path = f"{URLS}/{key}"
    api.platform.change(LinkUsedUp(key, 1))
    assert api.acme.get(path).json()["status"] == "used_up"
    api.acme.patch(path, json={"max_clicks": None})
    assert api.acme.get(path).json()["status"] == "active"
    assert api.acme.patch(path, json={"disabled": True}).json()["status"] == "disabled"
    assert api.acme.patch(path, json={"disabled": False}).json()["status"] == "active"


PATCHES = [
    ({"long_url": "https://example.org/new"}, "https://example.org/new"),
    ({"tags": []}, []),
    ({"tags": ["b", "b"]}, ["b"]),
    ({"max_clicks": 9}, 9),
    ({"max_clicks": None}, None),
    ({"expired_url": "https://example.org/"}, "https://example.org/"),
    ({"expired_url": None}, None),
    ({"expires_at": "2099-01-01T00:00:00Z"}, "2099-01-01T00:00:00Z"),
    ({"expires_at": None}, None),
    ({"redirect_code": 307}, 307),
    ({"audit": None}, None),
]


@pytest.mark.parametrize("patch,shown", PATCHES, ids=str)
def test_a_patch_changes_what_it_names_and_nothing_else(api: Api, patch, shown):
    before = api.make(
        ttl=600,
        expired_url="https://example.com/over",
        max_clicks=5,
        password="secret",
        tags=["a"],
        audit="required",
    )
    (field,) = patch
    answer = api.acme.patch(f"{URLS}/{before['key']}", json=patch)
    assert answer.json() == {**before, field: shown}
    assert api.acme.get(f"{URLS}/{before['key']}").json() == answer.json()


def test_a_patch_may_take_the_password_and_every_limit_away_for_a_permanent_redirect(api: Api):
    path = f"{URLS}/{api.make(password='secret', ttl=60, max_clicks=3)['key']}"
    limited = api.acme.patch(path, json={"redirect_code": 301})
    assert problem(limited) == (400, ["redirect_code"])
    patch = {"redirect_code": 301, "password": None, "ttl": None, "max_clicks": None}
    changed = api.acme.patch(path, json=patch).json()
    assert (changed["redirect_code"], changed["has_password"]) == (301, False)
    assert (changed["expires_at"], changed["max_clicks"]) == (None, None)


def test_a_change_reaches_the_redirect_within_a_second(api: Api):
    key = api.make()["key"]
    assert api.acme.get(f"/{key}").headers["location"] == TARGET
    api.acme.patch(f"{URLS}/{key}", json={"long_url": "https://example.org/"})
    eventually(
        lambda: api.acme.get(f"/{key}").headers["location"] == "https://example.org/", timeout_s=1
    )
    api.acme.delete(f"{URLS}/{key}")
    eventually(lambda: api.acme.get(f"/{key}").status_code == 410, timeout_s=1)


def test_changes_of_different_fields_at_the_same_time_are_all_kept(api: Api):
    path = f"{URLS}/{api.make()['key']}"
    patches = [{"tags": ["new"]}, {"max_clicks": 7}, {"expired_url": TARGET}, {"ttl": 900}]
    answers = at_once([lambda patch=patch: api.acme.patch(path, json=patch) for patch in patches])
    assert [answer.status_code for answer in answers] == [200] * 4
    link = api.acme.get(path).json()
    assert (link["tags"], link["max_clicks"], link["expired_url"]) == (["new"], 7, TARGET)
    assert link["expires_at"] is not None


def test_a_link_that_is_changed_and_deleted_at_the_same_time_is_deleted(api: Api):
    for _ in range(5):
        path = f"{URLS}/{api.make()['key']}"
        changed, deleted, again = at_once(
            [
                lambda path=path: api.acme.patch(path, json={"tags": ["x"]}),
                lambda path=path: api.acme.delete(path),
                lambda path=path: api.acme.delete(path),
            ]
        )
        assert changed.status_code in (200, 404)
        assert {deleted.status_code, again.status_code} <= {204, 404}
        assert api.acme.get(path).status_code == 404


def test_a_deleted_alias_is_never_given_again(api: Api):
    api.make(custom_alias="once")
    assert api.acme.delete(f"{URLS}/once").status_code == 204
    answer = api.acme.post(URLS, json={"long_url": TARGET, "custom_alias": "once"})
    assert problem(answer) == (409, ["custom_alias"])


def requests_about(key: str) -> list[tuple[str, str, dict]]:
    path = f"{URLS}/{key}"
    return [
        ("GET", path, {}),
        ("PATCH", path, {"json": {"tags": ["theirs"]}}),
        ("DELETE", path, {}),
        ("GET", f"{path}/stats", {}),
        ("GET", f"{path}/qr.svg", {}),
        ("GET", f"{path}/qr.png", {}),
    ]


@pytest.mark.parametrize("request_", requests_about("isolated"), ids=lambda r: f"{r[0]} {r[1]}")
def test_what_belongs_to_another_tenant_is_not_found(api: Api, request_):
    method, path, more = request_
    if api.link("isolated") is None:
        api.make(custom_alias="isolated", tags=["mine"])
    before = api.link("isolated")
    answer = api.client("other").request(method, path, **more)
    assert answer.status_code == 404
    assert api.link("isolated") == before


@pytest.mark.parametrize("request_", requests_about("gone"), ids=lambda r: f"{r[0]} {r[1]}")
def test_what_was_deleted_is_not_found(api: Api, request_):
    if api.link("gone") is None:
        api.make(custom_alias="gone")
        api.acme.delete(f"{URLS}/gone")
    method, path, more = request_
    assert api.acme.request(method, path, **more).status_code == 404


@pytest.mark.parametrize("key", ["nothing", "AAAAAAA", "%00", "%ff", "x" * 2_000])
def test_what_never_was_is_not_found(api: Api, key):
    assert api.acme.get(f"{URLS}/{key}").status_code == 404


def test_other_tenants_links_are_in_no_list(api: Api):
    api.make(tags=["shared"], external_id="shared")
    other = api.client("other-lists")
    for params in ({}, {"tag": "shared"}, {"external_id": "shared"}):
        assert other.get(URLS, params=params).json() == {"urls": [], "next": None}


NEEDED = {
    "links:write": [("POST", URLS), ("POST", f"{URLS}/bulk"), ("PATCH", f"{URLS}/x")],
    "links:read": [("GET", p) for p in (URLS, f"{URLS}/x", f"{URLS}/x/stats", f"{URLS}/x/qr.svg")],
    "links:delete": [("DELETE", f"{URLS}/x")],
}


@pytest.mark.parametrize("scope", NEEDED)
def test_every_route_needs_its_scope(api: Api, scope):
    others = api.client("acme", *(set(NEEDED) - {scope}))
    for method, path in NEEDED[scope]:
        answer = others.request(method, path, json={})
        assert (answer.status_code, answer.json().get("scope")) == (403, scope)
        unknown = others.request(method, path, headers={"Authorization": ""}, json={})
        assert unknown.status_code == 401


BAD = [
    ({}, "long_url"),
    ({"long_url": 7}, "long_url"),
    ({"long_url": TARGET, "colour": "red"}, "colour"),
    ({"long_url": "example.com"}, "long_url"),
    ({"long_url": "javascript:alert(1)"}, "long_url"),
    ({"long_url": "ftp://example.com/"}, "long_url"),
    ({"long_url": "https://user:pass@example.com/"}, "long_url"),
    ({"long_url": "https://exa mple.com/"}, "long_url"),
    ({"long_url": "https://example.com/" + "x" * 8_000}, "long_url"),
    ({"long_url": f"{PUBLIC_URL}/other"}, "long_url"),
    ({"long_url": "http://127.0.0.1/"}, "long_url"),
    ({"long_url": "http://[::ffff:10.0.0.1]/"}, "long_url"),
    ({"long_url": "http://169.254.169.254/latest"}, "long_url"),
    ({"long_url": "http://localhost/"}, "long_url"),
    ({"long_url": "http://printer.local/"}, "long_url"),
    ({"long_url": "https://evil.example/"}, "long_url"),
    ({"long_url": "https://deep.evil.example/"}, "long_url"),
    ({"long_url": TARGET, "custom_alias": "a"}, "custom_alias"),
    ({"long_url": TARGET, "custom_alias": "a/b/c"}, "custom_alias"),
    ({"long_url": TARGET, "custom_alias": "x" * 65}, "custom_alias"),
    ({"long_url": TARGET, "custom_alias": "Metrics"}, "custom_alias"),
    ({"long_url": TARGET, "ttl": 0}, "ttl"),
    ({"long_url": TARGET, "ttl": 10**12}, "ttl"),
    ({"long_url": TARGET, "ttl": 1.5}, "ttl"),
    ({"long_url": TARGET, "ttl": 60, "expires_at": "2099-01-01T00:00:00Z"}, "ttl"),
    ({"long_url": TARGET, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"long_url": TARGET, "expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
    ({"long_url": TARGET, "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
    ({"long_url": TARGET, "expires_at": "tomorrow"}, "expires_at"),
    ({"long_url": TARGET, "expired_url": "http://10.0.0.1/"}, "expired_url"),
    ({"long_url": TARGET, "max_clicks": 0}, "max_clicks"),
    ({"long_url": TARGET, "max_clicks": 10**15}, "max_clicks"),
    ({"long_url": TARGET, "max_clicks": "5"}, "max_clicks"),
    ({"long_url": TARGET, "redirect_code": 200}, "redirect_code"),
    ({"long_url": TARGET, "redirect_code": 301, "ttl": 60}, "redirect_code"),
    ({"long_url": TARGET, "redirect_code": 308, "password": "x"}, "redirect_code"),
    ({"long_url": TARGET, "redirect_code": 308, "max_clicks": 1}, "redirect_code"),
    ({"long_url": TARGET, "password": ""}, "password"),
    ({"long_url": TARGET, "password": "x" * 201}, "password"),
    ({"long_url": TARGET, "tags": "news"}, "tags"),
    ({"long_url": TARGET, "tags": [""]}, "tags[0]"),
    ({"long_url": TARGET, "tags": ["x" * 65]}, "tags[0]"),
    ({"long_url": TARGET, "tags": [f"t{n}" for n in range(51)]}, "tags"),
    ({"long_url": TARGET, "external_id": ""}, "external_id"),
    ({"long_url": TARGET, "external_id": "x" * 201}, "external_id"),
    ({"long_url": TARGET, "audit": "maybe"}, "audit"),
]


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    settings = LinkSettings(blocked_hosts=("evil.example",))
    with api_in(tmp_path_factory.mktemp("strict"), settings) as api:
        yield api


@pytest.mark.parametrize("body,field", BAD, ids=lambda value: str(value)[:70])
def test_what_may_not_be_is_refused_by_its_field(strict: Api, body, field):
    assert problem(strict.acme.post(URLS, json=body)) == (400, [field])


def test_nothing_of_what_was_refused_is_in_the_log(strict: Api):
    before = [strict.platform.log.bounds("links", partition) for partition in range(4)]
    for body, _ in BAD:
        strict.acme.post(URLS, json=body)
    assert [strict.platform.log.bounds("links", partition) for partition in range(4)] == before


def test_patches_are_checked_like_new_links(strict: Api):
    path = f"{URLS}/{strict.make()['key']}"
    fixed = {"custom_alias": "x", "external_id": "x"}  # are not to be changed
    for body, field in [*BAD, *(({name: value}, name) for name, value in fixed.items())]:
        patch = {k: v for k, v in body.items() if k != "long_url" or field == "long_url"}
        if (
            patch
            and field.removesuffix("[0]") in patch
            and patch.keys() - {"long_url"} != fixed.keys()
        ):
            assert problem(strict.acme.patch(path, json=patch)) == (400, [field]), patch
    assert problem(strict.acme.patch(path, json={"long_url": None})) == (400, ["long_url"])
    assert problem(strict.acme.patch(path, json={"disabled": None})) == (400, ["disabled"])


@pytest.mark.parametrize(
    "content,status",
    [
        (b"{", 400),
        (b"", 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b"null", 400),
        (b"x" * 2_000_000, 413),
    ],
    ids=["cut", "empty", "array", "no text", "null", "large"],
)
def test_bodies_that_are_no_link_are_refused(api: Api, content, status):
    headers = {"Content-Type": "application/json"}
    answer = api.acme.post(URLS, content=content, headers=headers)
    assert problem(answer)[0] == status


def test_lists_are_newest_first_and_go_on_behind_their_cursor(api: Api):
    other = api.client("lister")
    keys = [other.post(URLS, json={"long_url": TARGET}).json()["key"] for _ in range(7)]
    seen, cursor = [], None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = other.get(URLS, params=params).json()
        assert len(page["urls"]) <= 3
        seen += [link["key"] for link in page["urls"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(keys)
    times = [api.link(key).created_ms for key in seen]
    assert times == sorted(times, reverse=True)


def test_lists_show_links_as_they_are_and_no_deleted_ones(api: Api):
    other = api.client("changer")
    first, second = (other.post(URLS, json={"long_url": TARGET}).json()["key"] for _ in range(2))
    other.patch(f"{URLS}/{first}", json={"tags": ["changed"]})
    other.delete(f"{URLS}/{second}")
    (link,) = other.get(URLS).json()["urls"]
    assert (link["key"], link["tags"]) == (first, ["changed"])


def test_lists_of_a_tag_or_an_external_id_or_a_time(api: Api):
    other = api.client("filterer")
    made = [
        other.post(URLS, json={"long_url": TARGET, **fields}).json()
        for fields in ({"tags": ["a", "b"]}, {"tags": ["b"]}, {"external_id": "e/1?"})
    ]
    keys = [link["key"] for link in made]

    def listed(**params):
        return {link["key"] for link in other.get(URLS, params=params).json()["urls"]}

    assert listed(tag="a") == {keys[0]}
    assert listed(tag="b") == {keys[0], keys[1]}
    assert listed(tag="c") == set()
    assert listed(external_id="e/1?") == {keys[2]}
    assert listed(external_id="e") == set()
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert listed(since=(now - hour).isoformat(), before=(now + hour).isoformat()) == set(keys)
    assert (
        listed(before=(now - hour).isoformat()) == listed(since=(now + hour).isoformat()) == set()
    )
    assert listed(since=made[1]["created_at"]) >= {keys[1], keys[2]}
    assert listed(before=made[0]["created_at"]) == set()


BAD_LISTS = [
    ({"cursor": "x"}, "cursor"),
    ({"limit": 0}, "limit"),
    ({"limit": 1_001}, "limit"),
    ({"since": "yesterday"}, "since"),
    ({"since": "2026-01-01T00:00:00"}, "since"),
    ({"before": "9999-12-31T23:59:59-12:00"}, "before"),
    ({"external_id": "x", "tag": "y"}, "external_id"),
]


@pytest.mark.parametrize("params,field", BAD_LISTS, ids=str)
def test_lists_that_cannot_be_are_refused(api: Api, params, field):
    assert problem(api.acme.get(URLS, params=params)) == (400, [field])


def test_cursors_are_of_one_tenant(api: Api):
    for _ in range(2):
        api.make()
    cursor = api.acme.get(URLS, params={"limit": 1}).json()["next"]
    answer = api.client("thief").get(URLS, params={"cursor": cursor})
    assert problem(answer) == (400, ["cursor"])


def test_lists_go_back_over_months(api: Api):
    other = api.client("veteran")
    times = [datetime(2024, month, 15, tzinfo=UTC) for month in (1, 2, 2, 11)]
    for n, time in enumerate(times):
        api.append_claim(f"veteran{n}", "veteran", time)
    keys = [link["key"] for link in other.get(URLS).json()["urls"]]
    assert keys == ["veteran3", "veteran2", "veteran1", "veteran0"]
    first = other.get(URLS, params={"limit": 2}).json()
    rest = other.get(URLS, params={"cursor": first["next"]}).json()
    assert [link["key"] for link in first["urls"] + rest["urls"]] == keys
    february = {"since": "2024-02-01T00:00:00Z", "before": "2024-03-01T00:00:00Z"}
    found = [link["key"] for link in other.get(URLS, params=february).json()["urls"]]
    assert found == ["veteran2", "veteran1"]


def test_qr_codes_are_drawn(api: Api):
    path = f"{URLS}/{api.make()['key']}"
    svg = api.acme.get(f"{path}/qr.svg", params={"size": 300, "border": 1})
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert 'width="300' in svg.text
    png = api.acme.get(f"{path}/qr.png")
    assert (png.headers["content-type"], png.content[:4]) == ("image/png", b"\x89PNG")
    for params, field in (
        ({"size": 1}, "size"),
        ({"border": 99}, "border"),
        ({"size": "x"}, "size"),
    ):
        assert problem(api.acme.get(f"{path}/qr.png", params=params)) == (400, [field])


def test_short_urls_begin_as_the_request_did_if_there_is_no_public_url(tmp_path):
    with api_in(tmp_path, public_url="") as api:
        link = api.make()
        assert link["short_url"] == f"http://127.0.0.1:{api.gateway.port}/{link['key']}"


def test_the_api_is_described(api: Api):
    paths = api.acme.get("/openapi.json").json()["paths"]
    assert {"get", "post"} <= paths[URLS].keys()
    assert {"get", "patch", "delete"} <= paths[f"{URLS}/{{key}}"].keys()
