"""A producer posts clicks while the platform is killed and started again: each counts once."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from platform_process import PlatformProcess

from sixfold import Client
from sixfold.client import Options, Receipt

THREADS = 8
CLICKS = 30  # of each thread
SENT = 200
TIMEOUT_S = 60.0


@pytest.fixture
def client(platform: PlatformProcess) -> Iterator[Client]:
    """A client whose memory is too small for all that happens while the gateway is away."""
    key = (platform.directory / "data" / "admin.key").read_text().strip()
    url = f"http://127.0.0.1:{platform.port}"
    options = Options(max_batch_events=20, max_pending_events=50)
    with Client(url, key, spill=platform.directory / "spill", options=options) as client:
        yield client


def counted(platform: PlatformProcess, link: str, last: Receipt) -> tuple[int, int]:
    """Human clicks and unique visitors of a link, with all that came up to the last."""
    with platform.client() as api:
        after = {"Sixfold-After": last.position}
        answer = api.get(f"/api/v1/urls/{link}/stats", headers=after)
        assert answer.status_code == httpx.codes.OK, answer.text
    shown = answer.json()
    return shown["clicks"], sum(day["uniques"] for day in shown["series"])


def test_each_click_counts_once_though_the_gateway_is_killed(
    platform: PlatformProcess, client: Client
) -> None:
    with platform.client() as api:
        made = api.post("/api/v1/urls", json={"long_url": "http://127.0.0.1:9/"})
        assert made.status_code == httpx.codes.CREATED, made.text
        link = made.json()["key"]
    numbers = itertools.count()
    receipts: list[Receipt] = []

    def click(visitor: str) -> dict[str, str]:
        return {"link": link, "visitor": visitor}

    def append_clicks() -> None:
        for _ in range(CLICKS):
            receipts.append(client.append("link.clicked", click(f"appended-{next(numbers)}")))

    with ThreadPoolExecutor(THREADS) as threads:
        appending = [threads.submit(append_clicks) for _ in range(THREADS)]
        while len(receipts) < THREADS * CLICKS // 3:
            assert not any(done.done() for done in appending)
        platform.kill()
        for n in range(SENT):
            client.send("link.clicked", click(f"sent-{n}"))
        platform.start()
        for done in appending:
            done.result(timeout=TIMEOUT_S)
    client.flush(TIMEOUT_S)
    last = client.append("link.clicked", click("last"))
    clicks = THREADS * CLICKS + SENT + 1
    assert counted(platform, link, last) == (clicks, clicks)

    # As a producer does that has not heard of its answers.
    again = [client.append("link.clicked", click("again"), id=r.id) for r in receipts[::10]]
    assert counted(platform, link, again[-1]) == (clicks, clicks)
    assert platform.stop() == 0
