"""The maintenance lease: of compaction, retention, vacuum and erasure, one at a time works on a lake.

On a local directory it is a lock of an open file (flock(2)): the operating system releases it when
its holder dies, however it dies, so it cannot be lost while it is held, and nobody has to wait for it
to expire. On S3 it would be an object that is made by a conditional PUT (`If-None-Match: *`) and
expires unless its holder renews it. Such a lease can be lost unnoticed; what a holder writes then is
refused all the same, as every change notes a number in Delta's log that grows (`Table.replace`): that
is the fencing token. Who only appends needs no lease.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch.errors import LakeBusy

_FILE = ".maintenance.lock"


@contextmanager
def maintenance(directory: Path, job: str) -> Iterator[None]:
    """Be the one who maintains a lake.

    Args:
        directory: the lake's.
        job: what for; those who come meanwhile are told.

    Raises:
        LakeBusy: somebody else is.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = os.open(directory / _FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 100).decode(errors="replace") or "another job"
            raise LakeBusy(
                f"{directory} is being maintained by {holder}: run it again when that is done"
            ) from None
        os.truncate(file, 0)
        os.pwrite(file, f"{job}, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(file)
