"""The platform runs on while the clock of its machine is set an hour ahead, and back again."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from platform_process import PlatformProcess
from test_full_disk import TARGET, Clicking, counted, eventually

SOURCE = Path(__file__).with_name("stepping_clock.c")
STEPS_S = (0, 3_600, 0, -3_600, 3_600, -3_600, 0)


class SteppedProcess(PlatformProcess):
    """A host whose clock can be set."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        library, self._stepped_by = directory / "clock.so", directory / "stepped_by"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        self.step(0)
        self.environment |= {"LD_PRELOAD": str(library), "STEPPED_BY": str(self._stepped_by)}

    def step(self, seconds: int) -> None:
        """Set the clock so many seconds ahead of the right time."""
        with self._stepped_by.open("r+b" if self._stepped_by.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SteppedProcess]:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler to make a clock with")
    process = SteppedProcess(tmp_path)
    process.start()
    yield process
    process.close()


def shown_ahead_s(client: httpx.Client) -> float:
    """How far the platform's clock is ahead of ours, as it tells everybody."""
    date = parsedate_to_datetime(client.get("/health/live").headers["date"])
    return (date - datetime.now(UTC)).total_seconds()


def test_ids_links_and_clicks_do_not_care_for_the_clock(platform: SteppedProcess) -> None:
    once = {"Idempotency-Key": "once"}
    keys, fresh = set(), set()
    with platform.client() as client:
        key = client.post("/api/v1/urls", json=TARGET, headers=once).json()["key"]
        with Clicking(platform.port, key) as clicking:
            for step_s in STEPS_S:
                platform.step(step_s)
                eventually(lambda ahead_s=step_s: abs(shown_ahead_s(client) - ahead_s) < 60)
                keys.add(client.post("/api/v1/urls", json=TARGET, headers=once).json()["key"])
                fresh.add(client.post("/api/v1/urls", json=TARGET).json()["key"])
                assert client.get("/health/ready").status_code == httpx.codes.OK
                clicking.more(30)
        assert clicking.wrong == []
        assert keys == {key}
        assert len(fresh) == len(STEPS_S)
        assert {client.get(f"/api/v1/urls/{one}").status_code for one in fresh} == {200}
        eventually(lambda: counted(client, key) == clicking.answered)
    sql = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM clicks"
    row = json.loads(platform.run("sql", sql, "--format", "json"))
    assert row == {"n": clicking.answered, "ids": clicking.answered}
    assert platform.run("dead", "list", "--json") == ""
    assert platform.stop() == 0
    platform.start()  # with what it has, at a time before some of it
    with platform.client() as client:
        assert counted(client, key) == clicking.answered
        assert client.post("/api/v1/urls", json=TARGET, headers=once).json()["key"] == key
