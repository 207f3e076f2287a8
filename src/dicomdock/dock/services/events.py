"""Events: what changed, published to the open pages from any thread.

An event names only what changed; a page that cares looks it up anew. Equal events within a moment become
one, so that a transfer of ten thousand instances does not mean ten thousand messages to each page.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

MOMENT = 0.15  # seconds; about the time between two glances at a number


@dataclass(frozen=True, slots=True)
class ArchiveChanged:
    """A study of the local archive gained or lost something; "" for the archive as a whole."""

    study: str = ""


@dataclass(frozen=True, slots=True)
class TransferChanged:
    """A transfer began, moved on, or ended."""

    transfer: int


@dataclass(frozen=True, slots=True)
class ServersChanged:
    """A server was added, changed or removed."""


@dataclass(frozen=True, slots=True)
class ServerChanged:
    """A server gained or lost something of a study, by what we did."""

    server: str
    study: str


@dataclass(frozen=True, slots=True)
class LinkArrived:
    """A link came that waits for an answer, or goes on without one; its number is in the page's address."""

    link: int


@dataclass(frozen=True, slots=True)
class UploadChanged:
    """Dropped files are being stored, or have been."""

    batch: str


Event = TypeVar(
    "Event", ArchiveChanged, TransferChanged, ServersChanged, ServerChanged, LinkArrived, UploadChanged
)

AnyEvent: TypeAlias = (
    ArchiveChanged | TransferChanged | ServersChanged | ServerChanged | LinkArrived | UploadChanged
)


class Events:
    """The events of one dock."""

    def __init__(self) -> None:
        self._topics: dict[type, Any] = {}
        self._pending: dict[Any, None] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver the events in this loop, those published before first."""
        with self._lock:
            self._loop = loop
            waiting = bool(self._pending)
        if waiting:
            loop.call_soon_threadsafe(self._deliver)

    def detach(self) -> None:
        """Deliver nothing more: the loop ends."""
        with self._lock:
            self._loop = None
            self._pending.clear()

    def publish(self, event: AnyEvent) -> None:
        """Deliver the event to the pages, a moment later, in the loop; callable from any thread."""
        with self._lock:
            first = not self._pending
            self._pending[event] = None
            loop = self._loop
        if first and loop is not None:
            loop.call_soon_threadsafe(loop.call_later, MOMENT, self._deliver)

    def subscribe(
        self, kind: type[Event], handler: Callable[[Event], Awaitable[None]] | Callable[[Event], None]
    ) -> None:
        """Call ``handler`` in the context of the page being built, until that page is closed."""
        from nicegui import Event as Topic

        self._topics.setdefault(kind, Topic()).subscribe(handler, expect_args=True)

    def _deliver(self) -> None:
        with self._lock:
            events, self._pending = list(self._pending), {}
        for event in events:
            topic = self._topics.get(type(event))
            if topic is not None:
                topic.emit(event)
