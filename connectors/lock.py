"""The host lock: one process at a time runs the agents of a data directory.

The lock belongs to the open file (flock(2)), so the operating system releases it when the process
dies, however it dies; the file itself stays and means nothing.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from connectors.errors import HostLocked

FILE = "host.lock"


class HostLock:
    """Makes this process the host of a data directory: `with HostLock(directory): …`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._file: int | None = None

    def acquire(self) -> None:
        """Become the host.

        Raises:
            HostLocked: another process is.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        if not lock_file(file):
            holder = os.read(file, 20).decode(errors="replace") or "unknown"
            os.close(file)
            raise HostLocked(
                f"{self._path.parent} has a host already, process {holder}: stop it first, or run "
                "`sixfold gateway` for one more gateway beside it"
            )
        os.truncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Let another process become the host."""
        if self._file is not None:
            os.truncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> "HostLock":
        self.acquire()
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def lock_file(file: int) -> bool:
    """Lock an open file until it is closed; False if somebody else has it."""
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
