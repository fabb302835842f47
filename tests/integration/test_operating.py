"""What operators do to a running platform, by the commands that they have."""

import json

from platform_process import PlatformProcess

from connectors.log.sqlite import SqliteLog
from streams.log import Entry

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
# Well-formed, but of a type that no topic has: as a later version would write it.
FROM_THE_FUTURE = (
    b'{"type":"link.painted","specversion":"1.0","id":"01a20d2a-173b-700f-a19a-50155ecbd262",'
    b'"source":"fold/links","time":"2026-01-01T00:00:00Z","tenant":"main","data":{"link":"x"}}'
)


def letters(platform: PlatformProcess) -> list[dict[str, str]]:
    platform.settled()
    return [json.loads(line) for line in platform.run("dead", "list", "--json").splitlines()]


def test_a_record_that_no_fold_can_apply_is_listed_shown_and_requeued(
    platform: PlatformProcess,
) -> None:
    log = SqliteLog(platform.directory / "data" / "log.db")
    log.append([Entry("submissions", 0, b"main/x", FROM_THE_FUTURE)]).result()
    log.close()
    (letter,) = letters(platform)
    assert (letter["fold"], letter["record"]) == ("links-submissions", "submissions/0/0")
    assert platform.run("dead", "show", letter["letter"]).encode() == FROM_THE_FUTURE + b"\n"
    shown = json.loads(platform.run("dead", "show", letter["letter"], "--json"))
    assert shown == {"position": "submissions/0/0", "event": json.loads(FROM_THE_FUTURE)}
    assert "is given submissions/0/0 again" in platform.run("dead", "requeue", letter["letter"])
    # It still cannot be applied, so there is a newer letter about it.
    newest = letters(platform)[-1]
    assert newest["letter"] != letter["letter"]
    assert newest["requeued"] == "no"


def test_views_are_rebuilt_with_the_host_and_without(platform: PlatformProcess) -> None:
    with platform.client() as client:
        made = client.post("/api/v1/urls", json={"long_url": "http://127.0.0.1:9/"}).json()
        for _ in range(20):
            client.get(f"/{made['key']}", headers={"User-Agent": BROWSER})
        platform.settled()
        before = client.get(f"/api/v1/urls/{made['key']}/stats").json()
        assert before["clicks"] == 20
        assert "links-stats is rebuilt" in platform.run("views", "rebuild", "link_totals")
        assert client.get(f"/api/v1/urls/{made['key']}/stats").json() == before
    assert platform.stop() == 0
    assert "links is rebuilt" in platform.run("views", "rebuild", "links")
    platform.start()
    with platform.client() as client:
        assert client.get(f"/api/v1/urls/{made['key']}/stats").json() == before
        client.get(f"/{made['key']}", headers={"User-Agent": BROWSER})
        platform.settled()
        assert client.get(f"/api/v1/urls/{made['key']}/stats").json()["clicks"] == 21
