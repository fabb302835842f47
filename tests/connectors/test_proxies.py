from ipaddress import ip_network

import pytest

from connectors.gateway.proxies import client_address, is_trusted

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, _hidden, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::1", "[2a00::7]:4711", "2a00::7"),
        ("2001:db8::1", "2a00:0::7", "2a00::7"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_client_is_the_first_address_that_is_no_trusted_proxy(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert client_address(peer, forwarded_for, TRUSTED) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert client_address("127.0.0.1", "203.0.113.9", ()) == "127.0.0.1"


def test_a_header_that_goes_on_for_ever_is_not_read_to_its_beginning() -> None:
    assert client_address("10.0.0.1", "6.6.6.6," + "10.0.0.2," * 10_000 + "10.0.0.3", TRUSTED) == (
        "10.0.0.2"
    )


def test_trust_is_a_matter_of_the_address() -> None:
    assert is_trusted("10.1.2.3", TRUSTED)
    assert not is_trusted("11.1.2.3", TRUSTED)
    assert not is_trusted("nonsense", TRUSTED)
