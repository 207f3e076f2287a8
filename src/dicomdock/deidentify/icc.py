"""ICC profiles: the numbers that say how colours are meant stay, descriptions, copyright and dates do not.

Everything is overwritten where it stands, so that a profile keeps its length and the places of its tags, also
within a JPEG stream.

References
----------
ICC.1:2022 (Image technology colour management) §7.2, §7.3, §10; PS3.3 §C.11.15 (ICC Profile Module).
"""

from __future__ import annotations

import struct

_HEAD, _TABLE = 128, 132
_MOST_TAGS = 256
_TIME = struct.pack(">6H", 1900, 1, 1, 0, 0, 0)
_NUMERIC = frozenset(
    {
        b"XYZ ", b"chrm", b"cicp", b"clro", b"curv", b"mAB ", b"mBA ", b"meas", b"mft1", b"mft2", b"mpet",
        b"para", b"sf32", b"sig ", b"uf32", b"ui08", b"ui16", b"ui32", b"ui64", b"view",
    }
)  # fmt: skip


def cleaned(profile: bytes) -> bytes | None:
    """Return a profile of the same length without what somebody wrote; None where it is not one."""
    if len(profile) < _TABLE or profile[36:40] != b"acsp":
        return None
    size, count = int.from_bytes(profile[:4], "big"), int.from_bytes(profile[_HEAD:_TABLE], "big")
    if not _TABLE + 12 * count <= size <= len(profile) or count > _MOST_TAGS:
        return None
    made = bytearray(len(profile))
    made[: _TABLE + 12 * count] = profile[: _TABLE + 12 * count]
    made[24:36] = _TIME
    made[84:_HEAD] = bytes(_HEAD - 84)  # the checksum, which would be wrong now, and what is reserved
    for at in range(_TABLE, _TABLE + 12 * count, 12):
        start, length = struct.unpack_from(">2L", profile, at + 4)
        if start < _TABLE + 12 * count or length < 8 or start + length > size:
            return None
        made[start : start + length] = _element(profile[start : start + length])
    return bytes(made)


def _element(data: bytes) -> bytes:
    """Return the data of a tag, of the same length, with its text blank."""
    kind, body = data[:4], data[8:]
    head = kind + bytes(4)
    if kind in _NUMERIC:
        return head + body
    if kind == b"dtim":
        return head + _TIME[: len(body)].ljust(len(body), b"\0")
    if kind == b"text":
        return head + _blank(len(body))
    if kind == b"desc":
        shown = min(int.from_bytes(body[:4], "big"), max(len(body) - 4, 0))
        return head + (body[:4] + _blank(shown)).ljust(len(body), b"\0")
    if kind == b"mluc":
        return head + _unicode(body)
    return head + bytes(len(body))


def _unicode(body: bytes) -> bytes:
    """Return the body of a multiLocalizedUnicode tag with blanks for its strings."""
    count = int.from_bytes(body[:4], "big")
    if int.from_bytes(body[4:8], "big") != 12 or 8 + 12 * count > len(body):
        return bytes(len(body))
    records = b"".join(b"enUS" + body[at + 4 : at + 12] for at in range(8, 8 + 12 * count, 12))
    strings = len(body) - 8 - len(records)
    return body[:8] + records + (b"\0 " * (strings // 2)).ljust(strings, b"\0")


def _blank(length: int) -> bytes:
    """Return a text of blanks with its end."""
    return b" " * (length - 1) + b"\0" if length else b""
