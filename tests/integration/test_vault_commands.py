"""Rotating the master key of a running platform."""

import json

import httpx
import jwt
from platform_process import PlatformProcess

from connectors.log.sqlite import SqliteLog

SECRETS = {1: "the first secret, long enough for HS256", 2: "the second secret, as long as that"}


def status(platform: PlatformProcess) -> dict[int, int]:
    """Values by version of the master key."""
    lines = platform.run("vault", "status", "--json").splitlines()
    return {row["version"]: row["values"] for row in map(json.loads, lines)}


def user(platform: PlatformProcess, secret: str, name: str) -> httpx.Client:
    """A client of a user, whose tokens are signed by a key whose secret lies in the vault."""
    body = {"algorithm": "HS256", "audience": "app", "scopes": ["links:write", "links:read"]}
    with platform.client() as admin:
        added = admin.post("/api/v1/signing-keys", json=body | {"secret": secret})
    assert added.status_code == 201, added.text
    claims = {"sub": name, "aud": "app", "exp": 4_000_000_000}
    token = jwt.encode(claims, secret, "HS256", headers={"kid": added.json()["kid"]})
    return httpx.Client(
        base_url=f"http://127.0.0.1:{platform.port}", headers={"Authorization": f"Bearer {token}"}
    )


def make(platform: PlatformProcess, client: httpx.Client) -> str:
    """Make a link; the pseudonym that the log has of who made it."""
    made = client.post("/api/v1/urls", json={"long_url": "http://127.0.0.1:9/"})
    assert made.status_code == 201, made.text
    topic, partition, offset = made.headers["Sixfold-Position"].split("/")
    log = SqliteLog(platform.directory / "data" / "log.db")
    records = log.read(topic, int(partition), int(offset), 1)
    log.close()
    assert records is not None
    creator: str = json.loads(records.values[0])["data"]["created_by"]
    return creator


def test_the_master_key_is_rotated_while_the_platform_runs(platform: PlatformProcess) -> None:
    with user(platform, SECRETS[1], "ann") as ann:
        creator = make(platform, ann)
        before = status(platform)
        assert set(before) == {1}
        assert "Version 2 wraps from now on" in platform.run("vault", "rotate")
        # The host, which runs all the time, wraps what is new under the new version.
        with user(platform, SECRETS[2], "bob") as bob:
            other = make(platform, bob)
        both = status(platform)
        assert both[1] == before[1]
        assert both[2] >= 2
        assert make(platform, ann) == creator

        refused = platform.refused("vault", "retire", "1")
        assert f"in use by {before[1]} values: run `sixfold vault rewrap` first" in refused
        assert f"{before[1]} values were wrapped" in platform.run("vault", "rewrap")
        assert "Version 1 is gone" in platform.run("vault", "retire", "1")
        assert set(status(platform)) == {2}
        assert make(platform, ann) == creator

    # Nor do those who start later miss anything.
    assert platform.stop() == 0
    platform.start()
    for secret, name, known in ((SECRETS[1], "ann", creator), (SECRETS[2], "bob", other)):
        with user(platform, secret, name) as client:
            assert make(platform, client) == known
