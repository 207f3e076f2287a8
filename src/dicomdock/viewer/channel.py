"""The viewer's end of the connection to its dock (``rpc``): orders come in on standard input, events go out
on standard output.

The secret, the settings and every order travel on standard input, which no process list shows. Standard
output is for events alone: what libraries print there goes to standard error.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator

from dicomdock import rpc

log = logging.getLogger(__name__)


class Channel:
    """Reads orders and writes events; made once, before any library is imported that prints."""

    def __init__(self) -> None:
        self._orders = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
        self._events = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._lock = threading.Lock()

    def read(self) -> rpc.Order | None:
        """Wait for the next order; None when the dock is gone."""
        return next(self._read_all(), None)

    def listen(self, receive: Callable[[rpc.Order], None], ended: Callable[[], None]) -> None:
        """Pass every further order to ``receive``, in a thread, and call ``ended`` after the last."""

        def run() -> None:
            for order in self._read_all():
                receive(order)
            ended()

        threading.Thread(target=run, name="orders", daemon=True).start()

    def send(self, event: rpc.Event) -> None:
        """Write an event; a dock that is gone is noticed by the reading side."""
        with self._lock:
            try:
                self._events.write(rpc.encode(event))
                self._events.flush()
            except OSError:
                pass

    def _read_all(self) -> Iterator[rpc.Order]:
        for line in self._orders:
            try:
                yield rpc.decode_order(line)
            except rpc.MessageError as error:
                log.warning("The dock sent an unknown order: %s", error)
