"""The address of a browser, from the connection or from a proxy's X-Forwarded-For header."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

UNIX = "unix"  # the peer of a unix socket has no address
IPV6_PREFIX = 64  # a household or a machine owns a whole network of this size


def client(peer: str, forwarded: str, proxies: Sequence[str]) -> str:
    """Return the address of a request's sender; for IPv6 its network of IPV6_PREFIX bits.

    `peer` is the other end of the connection, "" for a unix socket. `forwarded` is the X-Forwarded-For header.
    Trusts only the entries that one of `proxies` (addresses, networks or "unix") has added to the header.
    """
    address = peer or UNIX
    hops = [hop.strip() for hop in forwarded.split(",")]
    while hops and _is_among(address, proxies):
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


def _is_among(address: str, proxies: Sequence[str]) -> bool:
    if address == UNIX:
        return UNIX in proxies
    parsed = _parsed(address)
    return any(parsed in ipaddress.ip_network(proxy) for proxy in proxies if proxy != UNIX and parsed)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None) or parsed


def _network(address: str) -> str:
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed or address)
