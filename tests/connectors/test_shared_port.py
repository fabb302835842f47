import socket
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from connectors.errors import PortTaken
from connectors.gateway.shared_port import shared_port

HOST = "127.0.0.1"


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server((HOST, 0)) as listening:
        number: int = listening.getsockname()[1]
        return number


def listen(port: int) -> socket.socket:
    return socket.create_server((HOST, port), reuse_port=True)


def test_gateways_of_a_data_directory_share_a_port(tmp_path: Path, port: int) -> None:
    with ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(shared_port(tmp_path, HOST, port))
            opened.enter_context(closing(listen(port)))


def test_one_that_stays_lets_another_come_back(tmp_path: Path, port: int) -> None:
    host = ExitStack()
    host.enter_context(shared_port(tmp_path, HOST, port))
    host.enter_context(closing(listen(port)))
    with shared_port(tmp_path, HOST, port), closing(listen(port)):
        host.close()
        with shared_port(tmp_path, HOST, port), closing(listen(port)):
            pass


def test_the_port_of_another_data_directory_is_refused(tmp_path: Path, port: int) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with shared_port(other, HOST, port), closing(listen(port)):
        mine = shared_port(tmp_path, HOST, port)
        with pytest.raises(PortTaken, match=rf"{port} .*choose another gateway\.port"), mine:
            pass
    with shared_port(tmp_path, HOST, port):
        pass


def test_a_port_that_may_not_be_listened_on_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(PortTaken),
        shared_port(tmp_path, "192.0.2.1", 80),
    ):  # nobody has that address
        pass


def test_any_free_port_is_nobody_elses(tmp_path: Path) -> None:
    with shared_port(tmp_path, HOST, 0), shared_port(tmp_path, HOST, 0):
        assert list(tmp_path.iterdir()) == []
