"""A line between a browser and this machine: a SOCKS5 proxy that delays and meters what passes.

``python -m benchmarks.line MILLISECONDS MEGABITS`` prints the port it listens on and runs until stopped:
half a round trip of delay each way, and so many bits a second each way for all connections together.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

READ = 1 << 14
HELD = 4  # reads that wait for the line; then the sender is no longer read from, as where its buffer is full


class Way:
    """One way of the line.

    Parameters
    ----------
    delay : seconds until what was sent arrives.
    rate : bytes a second.
    """

    def __init__(self, delay: float, rate: float) -> None:
        self._delay, self._rate = delay, rate
        self._free_at = 0.0

    def arrival(self, size: int) -> float:
        """Send bytes behind all that was sent before; return the loop's time at which the last arrives."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / self._rate
        return self._free_at + self._delay

    async def room(self) -> None:
        """Wait until what was sent has left."""
        await asyncio.sleep(max(0.0, self._free_at - asyncio.get_running_loop().time()))

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes until its end."""
        arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        clock = asyncio.get_running_loop().time

        async def arrive() -> None:
            while True:
                due, data = await arriving.get()
                await asyncio.sleep(max(0.0, due - clock()))
                if not data:
                    with contextlib.suppress(OSError):
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        arrivals = asyncio.create_task(arrive())
        data = b"-"
        while data:
            try:
                data = await reader.read(READ)
            except OSError:
                data = b""
            arriving.put_nowait((self.arrival(len(data)), data))
            await self.room()
        with contextlib.suppress(OSError):
            await arrivals


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
            await asyncio.gather(up.carry(reader, back), down.carry(there, writer), return_exceptions=True)
            back.close()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=READ)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def line(milliseconds: float, megabits: float) -> Iterator[str]:
    """Run a line; give the arguments of a Chromium whose connections all go over it."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.line", str(milliseconds), str(megabits)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield f"socks5://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]) / 2000, float(sys.argv[2]) * 1e6 / 8))
