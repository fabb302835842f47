"""The jars of an engine: fetched once with Maven, then taken from a cache."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from connectors.engines.java import find_maven
from connectors.errors import EngineFailed

log = structlog.get_logger()

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Jars:
    """What one version of an engine consists of.

    Attributes:
        name: of the engine and its version: a folder of the cache.
        artifacts: Maven's coordinates, group:artifact:version; what they depend on comes along.
    """

    name: str
    artifacts: Sequence[str]


def default_cache() -> Path:
    """Where fetched engines lie, unless somebody says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "sixfold", "engines")


def fetched(jars: Jars, cache: Path) -> Path:
    """The folder with the jars, fetched if they are not in the cache.

    Raises:
        EngineFailed: Maven could not fetch them.
        ToolMissing: there is no Maven.
    """
    folder = cache / jars.name
    if not folder.exists():
        log.info("fetching", engine=jars.name, cache=str(cache))
        _fetch(jars, cache, folder)
    return folder


def _fetch(jars: Jars, cache: Path, folder: Path) -> None:
    """Fetch beside the place where they go: another process may do the same, or this one die."""
    maven = find_maven()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as made:
        pom, jar_folder = Path(made, "pom.xml"), Path(made, "jars")
        pom.write_text(_pom(jars))
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={jar_folder}"]
        command = [maven, "--quiet", "--batch-mode", "--file", str(pom), _COPY, *options]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        if ran.returncode:
            raise EngineFailed(f"{jars.name} could not be fetched:\n{ran.stdout}{ran.stderr}")
        with suppress(FileExistsError):
            shutil.move(jar_folder, folder)


def _pom(jars: Jars) -> str:
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>sixfold</groupId>"
        f"<artifactId>{jars.name}</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{''.join(map(_dependency, jars.artifacts))}</dependencies></project>"
    )


def _dependency(artifact: str) -> str:
    group, name, version = artifact.split(":")
    return (
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version></dependency>"
    )
