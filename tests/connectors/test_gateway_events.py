import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from api import running

from schemas.fields import Subject
from streams.sealing import Sealer

EVENTS = "/api/v1/events"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running(
        tmp_path_factory.mktemp("api"), max_event_bytes=2_000, max_batch_bytes=20_000
    ) as api:
        yield api


def vote(option=1, **changes):
    data = {"poll": "lunch", "option": option} | changes.pop("data", {})
    return {"type": "poll.voted", "data": data} | changes


def posted(api, body, **params):
    """Post events, and read them from the log."""
    answer = api.client.post(EVENTS, json=body, params=params)
    assert answer.status_code == 202, answer.text
    return api.events(*(event["position"] for event in answer.json()["events"]))


def errors_of(answer):
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["errors"]


def test_one_event_is_appended(api):
    before = datetime.now(UTC)
    answer = api.client.post(EVENTS, json=vote(), headers={"traceparent": TRACE})
    (told,) = answer.json()["events"]
    assert answer.headers["sixfold-position"] == told["position"]
    (event,) = api.events(told["position"])
    assert event.id == told["id"]
    assert event.id[14] == "7"  # a UUIDv7
    assert event.tenant == "acme"
    assert event.source.startswith("client/")
    assert event.traceparent == TRACE
    assert before - timedelta(seconds=1) < event.time <= datetime.now(UTC)
    assert (event.data.poll, event.data.option) == ("lunch", 1)


def test_what_the_client_says_of_its_event_is_kept(api):
    id = str(uuid4())
    event = vote(
        specversion="1.0",
        id=id.upper(),
        source="shop/till-3",
        time="2026-01-02T03:04:05+01:00",
        tenant="acme",
        traceparent=TRACE,
        datacontenttype="application/json",
    )
    (found,) = posted(api, event)
    assert found.id == id
    assert found.source.endswith("/shop/till-3")
    assert found.source.startswith("client/")
    assert found.time == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert found.traceparent == TRACE


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", json.dumps(vote(7))),
        ("application/json; charset=utf-8", json.dumps([vote(7)])),
        ("application/cloudevents+json", json.dumps(vote(7))),
        ("application/cloudevents-batch+json", json.dumps([vote(7)])),
        ("application/x-ndjson", json.dumps(vote(7)) + "\r\n\n"),
    ],
)
def test_events_come_in_several_forms(api, content_type, body):
    answer = api.client.post(EVENTS, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 202, answer.text
    (event,) = api.events(answer.json()["events"][0]["position"])
    assert event.data.option == 7


def test_other_forms_are_refused(api):
    answer = api.client.post(EVENTS, content="<vote/>", headers={"Content-Type": "text/xml"})
    assert answer.status_code == 415
    assert "application/x-ndjson" in answer.json()["detail"]


def test_a_batch_is_appended_in_order(api):
    found = posted(api, [vote(option) for option in range(20)])
    assert [event.data.option for event in found] == list(range(20))


def test_a_batch_over_several_partitions_has_no_single_position(api):
    batch = [vote(data={"poll": f"poll {i}"}) for i in range(20)]
    answer = api.client.post(EVENTS, json=batch)
    assert len({e["position"].rpartition("/")[0] for e in answer.json()["events"]}) == 2
    assert "sixfold-position" not in answer.headers


def test_persons_are_known_by_pseudonyms_only(api):
    (event,) = posted(api, vote(data={"voter": "ann@example.com", "seconded_by": ["bob", "eve"]}))
    assert event.data.voter == event.subject == api.vault.find("acme", "ann@example.com")
    assert event.data.seconded_by == tuple(api.vault.find("acme", name) for name in ("bob", "eve"))


def test_the_same_name_is_somebody_else_in_another_tenant(api):
    api.as_(api.new_key("other", "events:write")).post(EVENTS, json=vote(data={"voter": "zoe"}))
    (event,) = posted(api, vote(data={"voter": "zoe"}))
    assert event.data.voter == api.vault.find("acme", "zoe") != api.vault.find("other", "zoe")


def test_personal_fields_are_sealed(api):
    answer = api.client.post(EVENTS, json=vote(data={"voter": "ann", "comment": "my secret"}))
    position = answer.json()["events"][0]["position"]
    topic, partition, offset = position.split("/")
    value = api.log.read(topic, int(partition), int(offset), 1).values[0]
    assert b"my secret" not in value
    assert b'"ann"' not in value
    (event,) = api.events(position)
    assert event.data.comment is None
    assert Sealer(api.catalog, api.vault).opened(event).data.comment == "my secret"


def test_an_erased_person_is_refused(api):
    api.vault.destroy("acme", Subject(api.vault.pseudonym("acme", "gone")))
    (error,) = errors_of(api.client.post(EVENTS, json=vote(data={"voter": "gone"})))
    assert error == {"index": 0, "field": "data.voter", "message": "this person was erased"}


SOON = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()


@pytest.mark.parametrize(
    ("event", "field", "message"),
    [
        ({"data": {}}, "type", "missing"),
        ({"type": "poll.voted"}, "data", "missing"),
        (vote(extra=1), "extra", "unknown"),
        (vote(subject="ann"), "subject", "unknown"),
        (vote(type="poll.eaten"), "type", "no event type"),
        (vote(type="poll.tallied"), "type", "platform only"),
        (vote(type="api_key.created"), "type", "platform only"),
        (vote(specversion="0.3"), "specversion", "0.3"),
        (vote(id="seven"), "id", "UUID"),
        (vote(source="two words"), "source", "no spaces"),
        (vote(time="yesterday"), "time", "RFC3339"),
        (vote(time="2026-01-01T00:00:00"), "time", "timezone"),
        (vote(time=SOON), "time", "future"),
        (vote(tenant="other"), "tenant", "not the caller's"),
        (vote(traceparent="00-0-0-0"), "traceparent", "malformed"),
        (vote(data={"option": "1"}), "data.option", "Expected `int`"),
        (vote(data={"flavour": "x"}), "data.flavour", "unknown"),
        ({"type": "poll.voted", "data": {"option": 1}}, "data.poll", "missing"),
        (vote(data={"voter": ""}), "data.voter", "name"),
        (vote(data={"seconded_by": ["x" * 501]}), "data.seconded_by", "name"),
        (vote(data={"comment": "whose?"}), "data.comment", "voter must be given"),
        (vote(data={"poll": "x" * 2_000}), "data", "2000 bytes"),
        ("vote", "body", "Expected `object`"),
    ],
)
def test_a_bad_event_is_refused_by_index_naming_the_field(api, event, field, message):
    (error,) = errors_of(api.client.post(EVENTS, json=[vote(), event, vote()]))
    assert error["index"] == 1
    assert error["field"] == field
    assert message in error["message"]


def test_nothing_of_a_bad_batch_is_appended(api):
    before = [api.log.bounds("polls", partition) for partition in range(2)]
    assert len(errors_of(api.client.post(EVENTS, json=[vote(), {}, vote(), {}]))) == 2
    assert [api.log.bounds("polls", partition) for partition in range(2)] == before


def test_the_good_events_of_a_bad_batch_are_taken_if_asked_for(api):
    batch = "\n".join([json.dumps(vote(0)), "{bad", json.dumps(vote(2))])
    answer = api.client.post(
        EVENTS,
        content=batch,
        params={"partial": "true"},
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 202
    body = answer.json()
    assert [event["index"] for event in body["events"]] == [0, 2]
    assert [error["index"] for error in body["errors"]] == [1]
    found = api.events(*(event["position"] for event in body["events"]))
    assert [event.data.option for event in found] == [0, 2]


def test_a_batch_without_a_good_event_is_refused_even_if_asked_for(api):
    assert len(errors_of(api.client.post(EVENTS, json=[{}, {}], params={"partial": "true"}))) == 2


@pytest.mark.parametrize("body", ["", "[]", "  ", "[{]", '[{"type": "poll.voted"'])
def test_what_holds_no_events_is_refused(api, body):
    assert api.client.post(EVENTS, content=body).status_code == 400


def test_a_batch_may_not_be_too_large(api):
    answer = api.client.post(EVENTS, json=[vote(data={"poll": "x" * 1_000})] * 25)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_repeated_request_makes_the_same_ids(api):
    headers = {"Idempotency-Key": "retry-1"}
    one, two = (
        api.client.post(EVENTS, json=[vote(), vote()], headers=headers).json()["events"]
        for _ in range(2)
    )
    assert [event["id"] for event in one] == [event["id"] for event in two]
    assert one[0]["id"] != one[1]["id"]
    assert UUID(one[0]["id"]).version == 7


def test_another_body_under_the_same_idempotency_key_is_other_events(api):
    headers = {"Idempotency-Key": "reused"}
    ids = [
        [
            event["id"]
            for event in api.client.post(EVENTS, json=body, headers=headers).json()["events"]
        ]
        for body in ([vote(1), vote(2)], [vote(1), vote(3)])
    ]
    assert ids[0][0] == ids[1][0]
    assert ids[0][1] != ids[1][1]


def test_ids_differ_between_keys_tenants_and_requests(api):
    other = api.as_(api.new_key("other", "events:write"))
    ids = [
        client.post(EVENTS, json=vote(), headers=headers).json()["events"][0]["id"]
        for client in (api.client, other)
        for headers in ({"Idempotency-Key": "a"}, {"Idempotency-Key": "b"}, {}, {})
    ]
    assert len(set(ids)) == 8


def test_an_id_that_the_client_fixed_comes_before_the_idempotency_key(api):
    id = str(uuid4())
    answer = api.client.post(EVENTS, json=vote(id=id), headers={"Idempotency-Key": "mine"})
    assert answer.json()["events"][0]["id"] == id


def test_posting_needs_its_scope(api):
    answer = api.as_(api.new_key("acme", "links:read")).post(EVENTS, json=vote())
    assert (answer.status_code, answer.json()["scope"]) == (403, "events:write")


def test_a_log_that_refuses_leaves_the_idempotency_key_unused(api):
    headers = {"Idempotency-Key": "while-down"}
    api.log.refuses = True
    try:
        answer = api.client.post(EVENTS, json=vote(), headers=headers)
    finally:
        api.log.refuses = False
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert api.client.post(EVENTS, json=vote(), headers=headers).status_code == 202
