"""Kill -9 while links are made and clicked: what was acknowledged is there, once."""

import contextlib
import json
import random
import threading
import time

import httpx
import pytest
from platform_process import PlatformProcess

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
WORK_S = (0.2, 1.0)


class Crowd:
    """Makes links and follows them until the platform is gone; keeps what was acknowledged."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.links: dict[str, str] = {}
        self.answered: dict[str, int] = {}
        self.asked: dict[str, int] = {}

    def work(self, platform: PlatformProcess) -> None:
        with contextlib.suppress(httpx.TransportError), platform.client() as client:
            while not self.stopping.is_set():
                target = f"http://127.0.0.1:9/{len(self.links)}"
                made = client.post("/api/v1/urls/bulk", json={"urls": [{"long_url": target}] * 3})
                for link in made.json()["urls"]:
                    if link["url"] is not None:  # it was decided while the host was there
                        self.links[link["url"]["key"]] = target
                for key in random.sample(sorted(self.links), min(10, len(self.links))):
                    self.asked[key] = self.asked.get(key, 0) + 1
                    answer = client.get(f"/{key}", headers={"User-Agent": BROWSER})
                    assert answer.status_code == httpx.codes.FOUND
                    self.answered[key] = self.answered.get(key, 0) + 1


def check(platform: PlatformProcess, crowd: Crowd) -> None:
    """Every acknowledged link is there; every click in the log is counted once."""
    platform.settled()
    query = "SELECT link, count(*) AS clicks FROM clicks GROUP BY link"
    logged = {
        row["link"]: row["clicks"]
        for row in map(json.loads, platform.run("sql", query, "--format", "json").splitlines())
    }
    with platform.client() as client:
        for key, target in crowd.links.items():
            link = client.get(f"/api/v1/urls/{key}")
            assert link.status_code == httpx.codes.OK, (key, link.text)
            assert link.json()["long_url"] == target
        for key in crowd.asked:
            counted = client.get(f"/api/v1/urls/{key}/stats").json()["clicks"]
            assert counted == logged.get(key, 0)
            # A redirect does not wait for its click, so those of the last moments may be missing.
            assert counted <= crowd.asked[key]


def kill_often(platform: PlatformProcess, times: int) -> None:
    crowd = Crowd()
    for _ in range(times):
        working = threading.Thread(target=crowd.work, args=[platform])
        working.start()
        time.sleep(random.uniform(*WORK_S))
        platform.kill()
        working.join()
        platform.start()
    assert len(crowd.links) > times
    check(platform, crowd)
    assert platform.stop() == 0


def test_what_was_acknowledged_survives_kills(platform: PlatformProcess) -> None:
    kill_often(platform, 3)


@pytest.mark.soak
def test_what_was_acknowledged_survives_many_kills(platform: PlatformProcess) -> None:
    kill_often(platform, 40)
