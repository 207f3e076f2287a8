"""Mutations of bytes and of text, by a seeded generator."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.tokens import JSON_KEYS, JSON_VALUES

INTERESTING = (
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    127,
    128,
    255,
    256,
    4096,
    32767,
    32768,
    65535,
    65536,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
)


def mutate_bytes(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], random: Random) -> bytes:
    """Change a few places of the bytes.

    Parameters
    ----------
    others : inputs to take pieces from.
    tokens : what means something in this format.
    """
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        kind = random.randrange(9)
        at = random.randrange(len(changed) + 1)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << random.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = random.randrange(256)
        elif kind == 2:
            number = random.choice(INTERESTING)
            packed = struct.pack(random.choice(("<Q", ">Q")), number)
            width = random.choice((1, 2, 4, 8))
            changed[at : at + width] = packed[:width] if random.random() < 0.5 else packed[-width:]
        elif kind == 3:
            del changed[at : at + random.choice((1, 2, 4, 16, 64, 512))]
        elif kind == 4:
            piece = bytes(changed[at : at + random.choice((1, 4, 16, 64, 512))])
            changed[at:at] = piece * random.choice((1, 1, 2, 8, 64))
        elif kind == 5 and others:
            other = random.choice(others)
            begin = random.randrange(len(other) + 1)
            changed[at : at + random.choice((0, 8, 64))] = other[begin : begin + random.choice((8, 64, 512))]
        elif kind == 6:
            del changed[at:]
        elif tokens:
            token = random.choice(tokens)
            width = random.choice((0, 0, 1, len(token)))
            changed[at : at + width] = token
        if len(changed) > 1 << 20:
            del changed[1 << 20 :]
    return bytes(changed)


def mutate_json(data: bytes, random: Random) -> bytes:
    """Change a few values of the first JSON document in the bytes; empty where there is none."""
    begins = [at for at in (data.find(b"["), data.find(b"{")) if at >= 0]
    if not begins:
        return b""
    begin = min(begins)
    try:
        document, length = json.JSONDecoder().raw_decode(data[begin:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return b""
    for _ in range(random.choice((1, 1, 2, 4))):
        holder: Any = document
        while holder:
            key = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
            if isinstance(holder[key], dict | list) and holder[key] and random.random() < 0.8:
                holder = holder[key]
                continue
            change = random.randrange(4)
            if change == 0:
                del holder[key]
            elif change == 1 and isinstance(holder, dict):
                holder[random.choice(JSON_KEYS)] = holder.pop(key)
            elif change == 2 and isinstance(holder, list):
                holder += [holder[key]] * random.choice((1, 30))
            else:
                holder[key] = random.choice(JSON_VALUES)
            break
    written = json.dumps(document).encode()
    rest = data[begin:].decode("utf-8", "replace")[length:].encode()
    head = data[:begin].replace(b"Content-Length: %d" % (length), b"Content-Length: %d" % len(written))
    return head + written + rest
