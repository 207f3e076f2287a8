"""A TCP proxy that delays every byte by half a round trip each way, with no limit on bandwidth.

``python -m benchmarks.delay PORT MILLISECONDS`` prints the port it listens on and runs until it is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

READ = 1 << 18


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
    clock = asyncio.get_running_loop().time

    async def send() -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    sender = asyncio.create_task(send())
    data = b"-"
    while data:
        try:
            data = await reader.read(READ)
        except OSError:
            data = b""
        await waiting.put((clock() + delay, data))
    with contextlib.suppress(OSError):
        await sender


async def _serve(port: int, delay: float) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=READ)
        await asyncio.gather(
            _carry(reader, back, delay), _carry(there, writer, delay), return_exceptions=True
        )
        for end in (writer, back):
            end.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=READ)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 2000))
