"""SQL over log and lake counts clicks as the statistics API does."""

from linking import api_in
from redirecting import CATALOG

from batch.archive import archive
from batch.engine import Engine
from batch.lake import Lake
from batch.queries import query
from schemas.ids import uuid7

SCOPES = ("events:write", "links:read")
COUNTS = """
SELECT link, count(*) FILTER (kind = 'human') AS clicks, count(*) FILTER (kind = 'bot') AS bots
FROM counted_clicks GROUP BY link ORDER BY link
"""


def click(link, id=None, **data):
    return {
        "type": "link.clicked",
        "id": id or uuid7(0),
        "data": {"link": link, "visitor": "v", **data},
    }


def post(client, *clicks):
    answer = client.post("/api/v1/events", json=list(clicks))
    assert answer.status_code == 202, answer.text
    return answer.json()["events"][-1]["position"]


def shown(client, link, after):
    answer = client.get(f"/api/v1/urls/{link}/stats", headers={"Sixfold-After": after})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return {"link": link, "clicks": found["clicks"], "bots": found["bots"]}


def test_clicks_that_are_posted_twice_or_are_of_anothers_link_count_alike_everywhere(tmp_path):
    with api_in(tmp_path) as api:
        acme, globex = api.client("acme", *SCOPES), api.client("globex", *SCOPES)
        links = sorted(api.make()["key"] for _ in range(2))
        ids = [uuid7(0) for _ in range(3)]
        first = [click(links[0], ids[0]), click(links[0], ids[1]), click(links[1], ids[2])]
        lake = Lake(tmp_path / "lake", CATALOG)

        def counted():
            with Engine(lake, api.platform.log) as engine:
                rows = engine.sql(COUNTS).read_all().to_pylist()
                (day,) = engine.sql(query("links/clicks_by_day").sql).read_all().to_pylist()
            assert day["clicks"] == sum(row["clicks"] + row["bots"] for row in rows)
            return rows

        post(acme, *first, first[0])
        post(globex, click(links[0]), click(links[1]), click(links[0], ids[0]))
        archive(lake, api.platform.log)
        after = [
            post(acme, *first[:2], click(links[0], kind="bot")),
            post(acme, first[2], click(links[1])),
        ]
        expected = [shown(acme, *each) for each in zip(links, after, strict=True)]
        assert expected == [
            {"link": links[0], "clicks": 2, "bots": 1},
            {"link": links[1], "clicks": 2, "bots": 0},
        ]
        assert counted() == expected
        archive(lake, api.platform.log)
        assert counted() == expected
