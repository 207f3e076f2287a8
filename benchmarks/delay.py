"""A TCP proxy that delays every byte by half a round trip each way, with no limit on bandwidth.

``python -m benchmarks.delay PORT MILLISECONDS`` prints the port it listens on and runs until it is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

READ = 1 << 18
Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Way:
    """One way of the line.

    Parameters
    ----------
    delay : seconds until what was sent arrives.
    rate : bytes a second; without a limit by default.
    """

    def __init__(self, delay: float, rate: float = math.inf) -> None:
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

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> None:
        """Carry one connection's bytes until its end, at most so many at once."""
        arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
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
                data = await reader.read(most)
            except OSError:
                data = b""
            await arriving.put((self.arrival(len(data)), data))
            await self.room()
        with contextlib.suppress(OSError):
            await arrivals


async def _serve(port: int, delay: float) -> None:
    way = Way(delay)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=READ)
        await asyncio.gather(
            way.carry(reader, back, READ), way.carry(there, writer, READ), return_exceptions=True
        )
        for end in (writer, back):
            end.close()

    await serve(accept, READ)


async def serve(accept: Accept, most: int) -> None:
    """Serve connections on a port of 127.0.0.1 that is printed, each with buffers of so many bytes."""
    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=most)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def proxy(module: str, *arguments: float) -> Iterator[int]:
    """Run a proxy in a process of its own and give its port."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 2000))
