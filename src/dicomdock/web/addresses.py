"""What an IP address leads to: the world, the user's own network, this machine, or what no link may touch."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Literal

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Reach = Literal["public", "private", "loopback", "forbidden"]
Resolve = Callable[[str, int], Iterable[str]]
"""Gives the IP addresses of a host and port; OSError when the name is not known."""

# Where clouds answer any program of a machine with its credentials, outside the link-local range.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
LOOPBACK = ("127.0.0.1", "::1")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def reach(address: Address) -> Reach:
    """Tell what kind of machine has this address, also where IPv6 wraps an IPv4 address."""
    address = _unwrapped(address)
    if address.is_loopback:
        return "loopback"
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return "forbidden"
    if isinstance(address, ipaddress.IPv4Address) and (address.is_reserved or address.packed[0] == 0):
        return "forbidden"
    return "public" if address.is_global else "private"


def literal(host: str) -> Address | None:
    """Give the address that a host stands for without being looked up; None for a name."""
    if host == "localhost" or host.endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def system_resolve(host: str, port: int) -> list[str]:
    """Look a name up as this system does."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(address.packed[12:])
    return address
