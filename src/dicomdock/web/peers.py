"""Who is at the other end of a loopback connection: this user, or another one of this machine.

Loopback keeps other machines out, not other users of this one. Linux lists the owner of every socket;
elsewhere the owner cannot be known this way, and tokens alone keep others out.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

Address: TypeAlias = tuple[str, int]  # host and port
Peer = Literal["same", "other", "unknown"]

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# The kernel hands a table out in pieces, and may pass over a row while others come and go.
LOOKS = 3


def peer_of(peer: Address, local: Address, *, uid: int | None = None) -> Peer:
    """Return whether a connection comes from this user.

    Parameters
    ----------
    peer : the other end.
    local : our end.
    uid : of the user; this process' own by default.

    Returns
    -------
    ``unknown`` where the system does not list owners, and for connections that are not on loopback.
    """
    if not (_is_loopback(peer[0]) and _is_loopback(local[0])):
        return "unknown"
    if not sys.platform.startswith("linux") or not TABLES[0].exists():
        return "unknown"
    own = os.getuid() if uid is None else uid
    wanted = frozenset((mine, other) for mine in _written(peer) for other in _written(local))
    for _ in range(LOOKS):
        for mine, other, owner, inode in _rows():
            if (mine, other) in wanted:
                # A socket that its program has closed has no inode, and 0 for an owner.
                return "same" if owner == own and inode != 0 else "other"
    return "other"


class Transport(Protocol):
    """A connection of asyncio's."""

    def get_extra_info(self, name: str) -> Any:
        """Return a fact about the connection."""


def is_foreign(transport: Transport) -> bool:
    """Return whether a connection comes from another user of this machine."""
    peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return bool(peer and local) and peer_of(peer[:2], local[:2]) == "other"


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _written(address: Address) -> tuple[str, ...]:
    """Write an address as the tables do: words of 32 bits in the machine's order; IPv4 also within IPv6."""
    host = ipaddress.ip_address(address[0])
    host = getattr(host, "ipv4_mapped", None) or host
    forms = [host.packed]
    if isinstance(host, ipaddress.IPv4Address):
        forms.append(bytes(10) + b"\xff\xff" + host.packed)
    return tuple(f"{_words(form)}:{address[1]:04X}" for form in forms)


def _words(packed: bytes) -> str:
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words)


def _rows() -> Iterator[tuple[str, str, int, int]]:
    for table in TABLES:
        try:
            lines = table.read_text("ascii").splitlines()
        except OSError:  # a kernel without IPv6
            continue
        for line in lines[1:]:
            fields = line.split()
            yield fields[1], fields[2], int(fields[7]), int(fields[9])
