"""The line between the dock and its viewer: one JSON document a line, on the viewer's standard streams.

The secret, the settings and every order come in on standard input, which no process list shows. Standard
output belongs to the answers alone: what libraries print there goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

Message = dict[str, Any]


class Channel:
    """Reads orders and writes events; made once, before any library is imported that prints."""

    def __init__(self) -> None:
        self._orders = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
        self._events = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._lock = threading.Lock()

    def read(self) -> Message | None:
        """Wait for the next order; None when the dock is gone."""
        return next(self._lines(), None)

    def listen(self, receive: Callable[[Message], None], ended: Callable[[], None]) -> None:
        """Hand every further order to ``receive``, in a thread, and call ``ended`` behind the last."""

        def run() -> None:
            for order in self._lines():
                receive(order)
            ended()

        threading.Thread(target=run, name="orders", daemon=True).start()

    def tell(self, event: str, **facts: Any) -> None:
        """Write an event; a dock that is gone is none of our business here."""
        with self._lock:
            try:
                self._events.write(json.dumps({"event": event, **facts}).encode() + b"\n")
                self._events.flush()
            except OSError:
                pass

    def _lines(self) -> Iterator[Message]:
        for line in self._orders:
            if line.strip():
                yield json.loads(line)
