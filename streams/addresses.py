"""Which addresses a server may be asked to connect to by strangers.

Special-purpose addresses are those of IANA's registries (RFC 6890), written out here because what
`ipaddress` calls global differs between releases and includes multicast and embedded addresses.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# No server has one of these, not even in an intranet: unspecified, multicast, reserved; link-local,
# where the clouds' metadata services are, and those at other addresses (AWS, Alibaba, Azure,
# Oracle); 6to4, Teredo and local NAT64, which lead to IPv4 addresses that nobody looked at.
_NEVER = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128"),
        *("::/128", "fe80::/10", "ff00::/8", "2002::/16", "2001::/32", "64:ff9b:1::/48"),
    )
]
_PRIVATE = [
    ip_network(text)
    for text in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "2001::/23", "2001:db8::/32", "3fff::/20"),
    )
]
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_SUBSCRIBER_PREFIX = 64


def address_of(text: str) -> Address:
    """An address in its usual notation; a v4-mapped one is the IPv4 address in it.

    Raises:
        ValueError: it is no address, or in a notation that others read differently.
    """
    address = ip_address(text)
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def is_global(address: Address) -> bool:
    """Whether an address is meant to be reached from everywhere."""
    reached = _reached(address)
    if isinstance(reached, IPv6Address) and reached not in _GLOBAL_UNICAST:
        return False
    return not _within(reached, _NEVER) and not _within(reached, _PRIVATE)


def is_global_or_private(address: Address) -> bool:
    """Whether a server may have an address, be it in an intranet or on this machine."""
    return not _within(_reached(address), _NEVER)


def client_block(text: str) -> str:
    """The addresses that belong to one client: an IPv4 address, or an IPv6 subscriber's network.

    Text that is no address stands for itself.
    """
    try:
        address = address_of(text)
    except ValueError:
        return text
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _SUBSCRIBER_PREFIX), strict=False))
    return str(address)


def _reached(address: Address) -> Address:
    """What a packet to an address arrives at: for v4-mapped ones and NAT64's an IPv4 address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
