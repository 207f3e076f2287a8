"""A load of HTTP requests from many keep-alive connections, in one process without threads.

``python -m benchmarks.load`` reads a plan (JSON) from standard input and writes what it measured (JSON).
"""

from __future__ import annotations

import base64
import json
import resource
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle

BUFFER = 1 << 18


@dataclass
class Load:
    """What was measured.

    Parameters
    ----------
    requests, errors : answered with a status below 300, and all others.
    seconds : of the whole load.
    latencies : seconds of each request, sorted.
    cpu : seconds that the load itself cost.
    """

    requests: int = 0
    errors: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def quantile(self, part: float) -> float:
        """Return the latency that a part of the requests stays below."""
        return self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))]

    @property
    def median(self) -> float:
        return statistics.median(self.latencies)


class _Connection:
    """One connection: sends a request, reads its answer to the end, sends the next."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self._port, self._requests = port, requests
        self.socket = self._connected()
        self._rest = memoryview(b"")
        self._received = bytearray()
        self._total = 0
        self._expected: int | None = None  # bytes of the whole answer; -1 for a chunked one
        self._began = 0.0

    def _connected(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self._port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.setblocking(False)
        return one

    def begin(self) -> bool:
        """Begin the next request; False where there is none."""
        request = next(self._requests, None)
        if request is None:
            return False
        self._rest = memoryview(request)
        self._received.clear()
        self._total, self._expected = 0, None
        self._began = time.perf_counter()
        self.write()
        return True

    def write(self) -> None:
        while self._rest:
            try:
                self._rest = self._rest[self.socket.send(self._rest) :]
            except BlockingIOError:
                return

    @property
    def writing(self) -> bool:
        return bool(self._rest)

    def read(self) -> tuple[int, float] | None:
        """Read; return status and seconds once the answer is whole, 0 where it broke off."""
        try:
            data = self.socket.recv(BUFFER)
        except BlockingIOError:
            return None
        if not data:
            return 0, time.perf_counter() - self._began
        self._total += len(data)
        if self._expected is None or self._expected < 0 or len(self._received) < 4096:
            self._received += data
        if self._expected is None and (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end]).lower()
            at = head.find(b"content-length:")
            self._expected = end + 4 + int(head[at + 15 :].partition(b"\r")[0]) if at >= 0 else -1
        if self._expected is None:
            return None
        if self._total < self._expected or (self._expected < 0 and not self._received.endswith(b"0\r\n\r\n")):
            return None
        return int(self._received[9:12]), time.perf_counter() - self._began


def run(port: int, requests: Sequence[bytes], *, clients: int, seconds: float, once: bool = False) -> Load:
    """Send the requests, in turn, from so many connections.

    Parameters
    ----------
    once : each of them once; else again and again.
    """
    feed = iter(requests) if once else cycle(requests)
    load = Load()
    began = time.perf_counter()
    end = began + seconds
    with selectors.DefaultSelector() as selector:
        open_ = 0
        for _ in range(clients):
            one = _Connection(port, feed)
            if one.begin():
                selector.register(one.socket, selectors.EVENT_READ | (2 if one.writing else 0), one)
                open_ += 1
        while open_:
            for key, events in selector.select(60):
                one = key.data
                if events & selectors.EVENT_WRITE:
                    one.write()
                    if not one.writing:
                        selector.modify(one.socket, selectors.EVENT_READ, one)
                if not events & selectors.EVENT_READ or (answer := one.read()) is None:
                    continue
                status, took = answer
                load.latencies.append(took)
                load.requests += 200 <= status < 300
                load.errors += not 200 <= status < 300
                if status == 0 or time.perf_counter() > end or not one.begin():
                    selector.unregister(one.socket)
                    one.socket.close()
                    open_ -= 1
                elif one.writing:
                    selector.modify(one.socket, 3, one)
    load.seconds = time.perf_counter() - began
    load.latencies.sort()
    used = resource.getrusage(resource.RUSAGE_SELF)
    load.cpu = used.ru_utime + used.ru_stime
    return load


def main() -> None:
    """Run the plan of standard input."""
    plan = json.load(sys.stdin)
    requests = [base64.b64decode(one) for one in plan.pop("requests")]
    json.dump(asdict(run(requests=requests, **plan)), sys.stdout)


if __name__ == "__main__":
    main()
