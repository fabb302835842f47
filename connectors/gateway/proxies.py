"""Who a request comes from, if it came through proxies."""

from collections.abc import Sequence
from functools import lru_cache

from streams.addresses import Address, Network, address_of

# More of ours in a row than anybody has; what a client puts in front of them is not even read.
_MAX_PROXIES = 16


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address of the client: the first one, seen from us, that is not a trusted proxy's.

    Each proxy appends the address that it was called from to `X-Forwarded-For`, so the header is
    read from its end, and only as far as trusted proxies wrote it. `Forwarded` (RFC 7239) is not
    read: a proxy that writes the one passes the other on as the client made it.

    Args:
        peer: the address at the other end of the connection.
        forwarded_for: the values of all `X-Forwarded-For` headers, in order, joined by commas.
    """
    client = peer
    for hop in reversed(forwarded_for.rsplit(",", _MAX_PROXIES)):
        if not is_trusted(client, trusted):
            break
        address = _address(_without_port(hop.strip()))
        if address is None:
            break
        client = str(address)
    return client


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether headers of the proxy at an address are believed."""
    if not trusted:
        return False
    address = _address(peer)
    return address is not None and any(address in network for network in trusted)


@lru_cache(maxsize=4_096)
def _address(text: str) -> Address | None:
    try:
        return address_of(text)
    except ValueError:
        return None


def _without_port(hop: str) -> str:
    """An address as some proxies write it: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
