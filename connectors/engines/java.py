"""The two tools that engines need: a Java runtime, and Maven to fetch their jars."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from connectors.errors import ToolMissing

# The one release that both engines run on: Kafka 4 needs it at least, Cassandra 5.0 at most.
JAVA_RELEASE = 17


def find_java() -> str:
    """The command `java` of the right release: that of JAVA_HOME, or the one on the path.

    Raises:
        ToolMissing: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None or not Path(java).exists():
        raise ToolMissing(_needed("there is no `java`"))
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) != JAVA_RELEASE:
        raise ToolMissing(_needed(f"{java} is {said.partition(chr(10))[0] or 'broken'}"))
    return java


def find_maven() -> str:
    """The command `mvn`.

    Raises:
        ToolMissing: there is none.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissing(_needed("there is no `mvn`"))
    return maven


def _needed(lack: str) -> str:
    return (
        f"Kafka and Cassandra need Java {JAVA_RELEASE} and Maven, but {lack}; on Debian: "
        f"apt-get install openjdk-{JAVA_RELEASE}-jdk-headless maven"
    )
