"""The platform as its users run it: `sixfold up` as a process, on a directory of the test's."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

_START_TIMEOUT_S = 60.0


class PlatformProcess:
    """A host, or a gateway beside one, that can be killed and started again."""

    def __init__(self, directory: Path, command: str = "up", port: int = 0) -> None:
        """Prepare.

        Args:
            command: `up` for the host, `gateway` for one more gateway of the same directory.
            port: any free one unless said.
        """
        self.directory = directory
        self.port = port or _free_port()
        self._command = command
        self.environment = {
            "PATH": os.environ["PATH"],
            "SIXFOLD_DATA": str(directory / "data"),
            "SIXFOLD_VAULT_MASTER_KEY": str(directory / "keys" / "master.key"),
            "SIXFOLD_GATEWAY_PORT": str(self.port),
            "SIXFOLD_LINKS_ALLOW_PRIVATE": "true",
            "SIXFOLD_GATEWAY_TRUSTED_PROXIES": "127.0.0.1",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file = directory / f"{command}-{self.port}.log"
        self._log = self._log_file.open("wb")

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sixfold", self._command],
            cwd=self.directory,
            env=self.environment,
            stdout=self._log,
            stderr=self._log,
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._is_ready():
            assert self._process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it as the out-of-memory killer would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to stop, and wait; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=_START_TIMEOUT_S)

    def run(self, *arguments: str) -> str:
        """What a command prints."""
        ran = self._ran(*arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def refused(self, *arguments: str) -> str:
        """What a command that fails says."""
        ran = self._ran(*arguments)
        assert ran.returncode == 1, ran.stdout
        return ran.stderr

    def _ran(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "sixfold", *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def settled(self) -> None:
        """Wait until agents have applied everything, clicks that were just made included."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        quiet: list[str] = []
        while time.monotonic() < deadline:
            rows = self.run("topics", "--json").splitlines()
            if rows == quiet and not any(json.loads(row)["lag"] for row in rows):
                return
            quiet = rows
        raise AssertionError("agents lag")

    def client(self) -> httpx.Client:
        """A client with the admin key."""
        key = (self.directory / "data" / "admin.key").read_text().strip()
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30.0,
        )

    def output(self) -> str:
        """What it has printed so far."""
        return self._log_file.read_text()

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._log.close()

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=5.0)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
