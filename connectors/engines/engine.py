"""An engine: a server process that lives on a directory, and outlives whoever started it.

The process holds a lock on a file of its directory (flock(2), inherited). So whether it runs, and
that a process id is still its own, can be told by any process, however it was ended.
"""

import fcntl
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import msgspec

from connectors.engines.jars import Jars, fetched
from connectors.engines.java import find_java
from connectors.errors import EngineFailed
from connectors.lock import lock_file
from schemas.frozen import Frozen

HOST = "127.0.0.1"

_LOOK_S = 0.05
_STOP_TIMEOUT_S = 60
_START_TIMEOUT_S = 120
_SAID_CHARS = 2_000


class _Run(Frozen):
    """What is noted about an engine's directory: its ports stay the same over restarts."""

    ports: list[int]
    pid: int = 0


class Engine(ABC):
    """One server on one directory; started again on it, it has its data again."""

    NAME: ClassVar[str]
    JARS: ClassVar[Jars]

    def __init__(self, directory: Path, cache: Path) -> None:
        """Nothing is started, fetched or written yet."""
        self.directory = directory.absolute()
        self.cache = cache
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """What to set to use it."""

    @property
    def port(self) -> int:
        """Where it answers; only after it was started for the first time."""
        return self._noted().ports[0]

    @property
    def pid(self) -> int | None:
        """The process; None if it does not run."""
        return self._noted().pid if self.running else None

    @property
    def running(self) -> bool:
        """Whether there is a process, answering or not."""
        if not self._lock_path.exists():
            return False
        file = os.open(self._lock_path, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: others may be looking too
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    @property
    def output(self) -> Path:
        """The file of what it says."""
        return self.directory / "output.log"

    def start(self) -> None:
        """Start it and wait until it answers; nothing if it runs.

        Raises:
            EngineFailed: it ended, or did not answer in time.
            ToolMissing: there is no Java, or no Maven.
        """
        if self.running:
            return
        java = find_java()
        jars = fetched(self.JARS, self.cache)
        self.directory.mkdir(parents=True, exist_ok=True)
        run = _Run(self._noted().ports or free_ports(2))
        command = [java, *self._prepare(java, jars, run.ports)]
        self._note(msgspec.structs.replace(run, pid=self._spawn(command)))
        self._await(_START_TIMEOUT_S, lambda: _answers(run.ports[0]), "answer")

    def stop(self) -> None:
        """Let it finish what it does, and end."""
        self._signal(signal.SIGTERM)
        self._await_end()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._signal(signal.SIGKILL)
        self._await_end()

    def pause(self) -> None:
        """Stop it where it is: its connections stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        self._signal(signal.SIGCONT)

    @abstractmethod
    def _prepare(self, java: str, jars: Path, ports: Sequence[int]) -> list[str]:
        """Write what it reads at its start; the arguments of `java` that start it."""

    @property
    def _lock_path(self) -> Path:
        return self.directory / "running.lock"

    def _spawn(self, command: Sequence[str]) -> int:
        file = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not lock_file(file):
                raise EngineFailed(f"{self.NAME} has just been started in {self.directory}")
            with self.output.open("ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[file],
                    cwd=self.directory,
                    start_new_session=True,
                )
        finally:
            os.close(file)
        return self._process.pid

    def _signal(self, signal_: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal_)

    def _await_end(self) -> None:
        self._await(_STOP_TIMEOUT_S, lambda: not self.running, "end", may_end=True)
        self._reap()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _await(
        self, timeout_s: float, condition: Callable[[], bool], what: str, may_end: bool = False
    ) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if not (may_end or self.running):
                self._reap()
                raise EngineFailed(f"{self.NAME} ended: {self._said()}")
            if time.monotonic() > deadline_s:
                raise EngineFailed(
                    f"{self.NAME} did not {what} within {timeout_s} s: {self._said()}"
                )
            time.sleep(_LOOK_S)

    def _said(self) -> str:
        return f"{self.output} ends with\n{self.output.read_text()[-_SAID_CHARS:]}"

    def _noted(self) -> _Run:
        try:
            return msgspec.json.decode((self.directory / "run.json").read_bytes(), type=_Run)
        except FileNotFoundError:
            return _Run([])

    def _note(self, run: _Run) -> None:
        (self.directory / "run.json").write_bytes(msgspec.json.encode(run))


def free_ports(count: int) -> list[int]:
    """Ports of this host that nobody listens on just now."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
