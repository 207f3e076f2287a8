"""Who is at the other end of a loopback connection: this user, or another one of this machine.

Loopback keeps other machines out, not other users of this one. Linux lists the owner of every socket;
elsewhere the owner cannot be known this way, and tokens alone keep others out.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

Address: TypeAlias = tuple[str, int]  # host and port
Owner: TypeAlias = tuple[int, int]  # uid of a socket's user, and the socket's inode
Peer = Literal["same", "other", "unknown"]

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# The kernel hands a table out in pieces, and may pass over a row while others come and go.
LOOKS = 3

# Of Linux's netlink.h, sock_diag.h, inet_diag.h and tcp_states.h.
_NETLINK_SOCK_DIAG, _BY_FAMILY, _NLM_F_REQUEST, _LISTENS = 4, 20, 1, 10
_ALL_STATES = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBBI")  # family, protocol, extensions, padding, states
_PORTS = struct.Struct("!HH")
_ANY_INTERFACE = bytes(4) + b"\xff" * 8  # and no cookie
_OWNER = struct.Struct("=xBxx36s12x12xII")  # state, ports and addresses, uid, inode


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
    # A socket that its program has closed has no inode, and 0 for an owner.
    owner, inode = _asked(peer, local) or _listed(peer, local) or (-1, 0)
    return "same" if owner == own and inode != 0 else "other"


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
        return _bare(host).is_loopback
    except ValueError:
        return False


def _asked(peer: Address, local: Address) -> Owner | None:
    """Ask the kernel who owns the peer's socket; None where it does not know or cannot be asked.

    References
    ----------
    sock_diag(7): an ``inet_diag_req_v2`` is answered with an ``inet_diag_msg``.
    """
    ends = _PORTS.pack(peer[1], local[1]) + _padded(peer) + _padded(local)
    family = socket.AF_INET if _bare(peer[0]).version == 4 else socket.AF_INET6
    wanted = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + ends + _ANY_INTERFACE
    header = _HEADER.pack(_HEADER.size + len(wanted), _BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(1)
            kernel.sendto(header + wanted, (0, 0))
            answer = kernel.recv(1 << 12)
    except OSError:
        return None
    body = answer[_HEADER.size :]
    if len(body) < _OWNER.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    state, found, owner, inode = _OWNER.unpack_from(body)
    # Where the socket is gone, one that listens on its port would do for the kernel.
    return None if state == _LISTENS or found != ends else (owner, inode)


def _padded(address: Address) -> bytes:
    return _bare(address[0]).packed.ljust(16, b"\0")


def _bare(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address; IPv4 within IPv6 as IPv4."""
    address = ipaddress.ip_address(host)
    return getattr(address, "ipv4_mapped", None) or address


def _listed(peer: Address, local: Address) -> Owner | None:
    """Look the peer's socket up in the tables of all, which takes milliseconds."""
    wanted = [f" {mine} {other} " for mine in _written(peer) for other in _written(local)]
    return next(filter(None, (_row(wanted) for _ in range(LOOKS))), None)


def _written(address: Address) -> tuple[str, ...]:
    """Write an address as the tables do: words of 32 bits in the machine's order; IPv4 also within IPv6."""
    host = _bare(address[0])
    forms = [host.packed]
    if isinstance(host, ipaddress.IPv4Address):
        forms.append(bytes(10) + b"\xff\xff" + host.packed)
    return tuple(f"{_words(form)}:{address[1]:04X}" for form in forms)


def _words(packed: bytes) -> str:
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words)


def _row(wanted: Sequence[str]) -> Owner | None:
    for table in TABLES:
        try:
            rows = table.read_text("ascii")
        except OSError:  # a kernel without IPv6
            continue
        for pair in wanted:
            if (at := rows.find(pair)) >= 0:
                fields = rows[at : rows.find("\n", at)].split()
                return int(fields[6]), int(fields[8])
    return None
