"""One port for all gateways of a data directory, and for nobody else.

With SO_REUSEPORT any process of the same user may join a port, also that of another data directory,
which would get half of the requests without anybody noticing. So gateways tell each other by a
lock that they are there, and the first one sees that the port is free.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.errors import PortTaken
from connectors.lock import lock_file


@contextmanager
def shared_port(directory: Path, host: str, port: int) -> Iterator[None]:
    """Be one of those who listen on a port for a data directory; on any free one, if it is 0.

    Raises:
        PortTaken: somebody listens there, and it is no gateway of this directory.
    """
    if port == 0:
        yield
        return
    file = os.open(directory / f"port-{port}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if lock_file(file):
            _refuse_if_taken(host, port)
        fcntl.flock(file, fcntl.LOCK_SH)  # no longer alone, so that others may come
        yield
    finally:
        os.close(file)


def _refuse_if_taken(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise PortTaken(
            f"{host}:{port} cannot be listened on ({error.strerror}): "
            "stop whoever has it, or choose another gateway.port"
        ) from error
