import pytest

from streams.addresses import address_of, is_global, is_global_or_private


@pytest.mark.parametrize(
    "text",
    [
        *("8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.0", "223.255.255.255"),
        *("2606:4700::1111", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_addresses_of_the_public_internet_are_global(text: str) -> None:
    assert is_global(address_of(text))


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "172.16.0.1"),
        *("172.31.255.255", "192.168.1.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1"),
        *("198.19.255.255", "198.51.100.1", "203.0.113.1", "::1", "fc00::1", "fd12::1"),
        *("2001:db8::1", "3fff::1", "100::1", "fec0::1", "::10.0.0.1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::7f00:1"),
    ],
)
def test_private_addresses_can_be_allowed(text: str) -> None:
    assert not is_global(address_of(text))
    assert is_global_or_private(address_of(text))


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
        *("255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "ff02::1"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),
        *("2002:7f00:1::", "2002:808:808::", "2001:0:808:808::1", "64:ff9b:1::a00:1"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_some_addresses_are_never_a_servers(text: str) -> None:
    assert not is_global(address_of(text))
    assert not is_global_or_private(address_of(text))


@pytest.mark.parametrize("text", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "", "::g"])
def test_only_the_usual_notation_is_an_address(text: str) -> None:
    with pytest.raises(ValueError):
        address_of(text)
