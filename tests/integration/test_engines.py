import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.engines.engine import Engine
from connectors.engines.java import find_java, find_maven
from connectors.engines.kafka import Kafka
from connectors.errors import EngineFailed, ToolMissing


def answers(engine: Engine) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", engine.port)) == 0


@pytest.mark.parametrize("fixture", ["kafka", "cassandra"])
def test_a_killed_engine_is_started_again_where_it_was(request, fixture):
    engine = request.getfixturevalue(fixture)
    port, pid = engine.port, engine.pid
    assert answers(engine)
    engine.kill()
    assert not engine.running
    assert engine.pid is None
    assert not answers(engine)
    engine.start()
    assert engine.port == port
    assert engine.pid != pid
    assert answers(engine)


def test_an_engine_is_known_to_run_by_who_has_not_started_it(kafka):
    other = type(kafka)(kafka.directory, kafka.cache)
    assert other.running
    other.start()
    assert other.pid == kafka.pid


def test_an_engine_that_cannot_start_says_why(tmp_path, kafka):
    broken = Kafka(tmp_path, kafka.cache)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("cluster.id=other\n")
    try:
        with pytest.raises(EngineFailed, match=r"kafka ended.*output\.log"):
            broken.start()
    finally:
        broken.stop()


def test_without_java_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ToolMissing, match="apt-get install openjdk-17"):
        find_java()
    with pytest.raises(ToolMissing, match="no `mvn`"):
        find_maven()


def test_the_wrong_java_is_refused(monkeypatch, tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"openjdk version .21\.0\.1"):
        find_java()


def test_the_command_starts_shows_and_stops_an_engine(tmp_path: Path, kafka):
    def sixfold(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "sixfold", "engines", *arguments],
            env=os.environ
            | {"SIXFOLD_DATA": str(tmp_path), "SIXFOLD_ENGINES_CACHE": str(kafka.cache)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def states() -> dict[str, tuple[str, str]]:
        shown = map(json.loads, sixfold("status", "--json").splitlines())
        return {row["engine"].partition("-")[0]: (row["state"], row["url"]) for row in shown}

    try:
        setting, url = sixfold("up", "kafka").splitlines()[-1].split("=")
        assert setting == "SIXFOLD_LOG"
        assert url.startswith("kafka://127.0.0.1:")
        assert states() == {"kafka": ("up", url), "cassandra": ("down", "")}
    finally:
        sixfold("down")
    assert states() == {"kafka": ("down", ""), "cassandra": ("down", "")}
