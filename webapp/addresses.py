"""The address of a browser, from the connection or from a proxy's X-Forwarded-For header."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

UNIX = "unix"  # the peer of a unix socket has no address
LOOPBACK = ("127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104")
LONGEST_CHARS = 100  # of an address; an IPv6 one with a zone is the longest
KEPT = 1000  # parsed addresses and networks; parsing one takes 3 us, and a request has a dozen
IPV6_PREFIX = 64  # a household or a machine owns a whole network of this size


def client(peer: str, forwarded: str, proxies: Sequence[str]) -> str:
    """Return the address of a request's sender; for IPv6 its network of IPV6_PREFIX bits.

    `peer` is the other end of the connection, "" for a unix socket. `forwarded` is the X-Forwarded-For header.
    Trusts only the entries that one of `proxies` (addresses, networks or "unix") has added to the header.
    """
    address = peer or UNIX
    hops = [hop.strip() for hop in forwarded.split(",")]
    while hops and is_among(address, proxies):
        if not _parsed(hop := hops.pop()):
            break
        address = hop
    return _network(address)


def is_proxy(value: str) -> bool:
    """Return whether a value is an address, a network or "unix"."""
    try:
        return value == UNIX or bool(ipaddress.ip_network(value))
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, not a name."""
    return _parsed(host) is not None


def is_loopback(host: str) -> bool:
    """Return whether an address belongs to this machine alone. The path of a unix socket does."""
    if host == "localhost" or host.startswith("/"):
        return True
    address = _parsed(host)
    return address is not None and address.is_loopback


def is_among(peer: str, proxies: Sequence[str]) -> bool:
    """Return whether the other end of a connection is one of `proxies`."""
    if (peer or UNIX) == UNIX:
        return UNIX in proxies
    parsed = _parsed(peer)
    return parsed is not None and any(parsed in _network_of(proxy) for proxy in proxies if proxy != UNIX)


def has_neighbours(proxies: Sequence[str]) -> bool:
    """Return whether `proxies` contain this machine, where other processes have the same address."""
    networks = [ipaddress.ip_network(proxy) for proxy in proxies if proxy != UNIX]
    return UNIX in proxies or any(
        network.version == own.version and network.overlaps(own)
        for network in networks
        for own in map(ipaddress.ip_network, LOOPBACK)
    )


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    return _parse(address) if len(address) <= LONGEST_CHARS else None


@lru_cache(KEPT)
def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None) or parsed


_network_of = lru_cache(KEPT)(ipaddress.ip_network)


def _network(address: str) -> str:
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed or address)
