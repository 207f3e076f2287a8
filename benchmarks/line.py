"""A line between a browser and this machine: a SOCKS5 proxy that delays and meters what passes.

``python -m benchmarks.line MILLISECONDS MEGABITS`` prints the port it listens on and runs until stopped:
half a round trip of delay each way, and so many bits a second each way for all connections together.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.delay import Way, proxy, serve

READ = 1 << 14


async def _serve(delay: float, rate: float) -> None:
    up, down = Way(delay, rate), Way(delay, rate)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            _version, methods = await reader.readexactly(2)
            await reader.readexactly(methods)
            writer.write(b"\x05\x00")  # without a login
            _version, _connect, _, kind = await reader.readexactly(4)
            length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
            address = await reader.readexactly(length)
            host = address.decode("ascii") if kind == 3 else str(ipaddress.ip_address(address))
            port = int.from_bytes(await reader.readexactly(2), "big")
            there, back = await asyncio.open_connection(host, port, limit=READ)
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
            await asyncio.gather(
                up.carry(reader, back, READ), down.carry(there, writer, READ), return_exceptions=True
            )
            back.close()
        writer.close()

    await serve(accept, READ)


@contextmanager
def line(milliseconds: float, megabits: float) -> Iterator[str]:
    """Run a line; give the address of its proxy."""
    with proxy("benchmarks.line", milliseconds, megabits) as port:
        yield f"socks5://127.0.0.1:{port}"


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]) / 2000, float(sys.argv[2]) * 1e6 / 8))
