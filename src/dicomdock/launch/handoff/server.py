"""The dock's side: be the only one, and take links."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from dicomdock.config.lock import FileLock
from dicomdock.config.settings import Settings
from dicomdock.errors import DicomdockError, LaunchError
from dicomdock.launch.handoff.paths import run_folder
from dicomdock.launch.handoff.system import system_transport
from dicomdock.launch.handoff.transport import Channel, Listener, Transport

_log = logging.getLogger(__name__)
_READERS = 8  # connections read side by side, so that one that stalls holds up nobody


class AlreadyRunning(LaunchError):
    """Another dock runs for this state folder; ``show`` brings up its page."""


class HandoffServer:
    """Takes links for the one dock of this user, from ``send`` in other processes.

    Use it as a context manager, or ``start`` and ``close`` it. It is the dock's single-instance lock, too.

    Parameters
    ----------
    settings : whose dock this is.
    on_link : called with each link exactly as it was given, raw bytes as surrogates; from a thread of ours,
        one call at a time. It should only queue the link. What it returns goes to the sender, and so are
        the words of any DicomdockError.
    on_show : called when somebody wants the dock's page; returns what to answer the sender, usually the
        address to open.
    transport : how to connect; by default this system's way.
    """

    def __init__(
        self,
        settings: Settings,
        on_link: Callable[[str], str],
        on_show: Callable[[], str] = str,
        *,
        transport: Transport | None = None,
    ) -> None:
        self._settings = settings
        self._on_link = on_link
        self._on_show = on_show
        self._transport = transport or system_transport()
        self._lock = FileLock(run_folder(settings) / "dock.lock")
        self._calling = threading.Lock()
        self._listener: Listener | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Begin to take links.

        Raises
        ------
        AlreadyRunning
            Another dock runs.
        LaunchError
            The socket cannot be opened.
        """
        if not self._lock.acquire():
            raise AlreadyRunning("dicomdock is running already; its page was asked to come to the front.")
        try:
            self._listener = self._transport.listen(self._settings)
        except BaseException:
            self._lock.release()
            raise
        self._closing.clear()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="handoff")
        self._thread = threading.Thread(
            target=self._wait, args=(self._listener, self._readers), name="handoff", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Take no more links; those that were taken are answered first."""
        if self._thread is None or self._listener is None or self._readers is None:
            return
        self._closing.set()
        try:
            self._transport.connect(
                self._settings
            ).close()  # accept() does not wake when its socket is closed
        except (OSError, LaunchError):
            _log.debug("The hand-off was closed already.")
        self._thread.join(timeout=5)
        self._readers.shutdown()
        self._listener.close()
        self._lock.release()
        self._thread = self._listener = self._readers = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _wait(self, listener: Listener, readers: ThreadPoolExecutor) -> None:
        while not self._closing.is_set():
            try:
                channel = listener.accept()
            except OSError as error:
                _log.warning("A hand-off was not taken: %s.", error)
                if self._closing.wait(0.05):  # a lasting fault must not spin
                    return
                continue
            if self._closing.is_set():
                channel.close()
                return
            readers.submit(self._serve, channel)

    def _serve(self, channel: Channel) -> None:
        try:
            answer = self._answer(channel.receive())
            channel.send(json.dumps(answer).encode("ascii"))
        except OSError as error:
            _log.warning("A hand-off broke off: %s.", error)
        finally:
            channel.close()

    def _answer(self, message: bytes) -> dict[str, object]:
        """Do what a message asks. Its text may hold a token: no word of it is logged."""
        try:
            request = json.loads(message)
            action, link = request["do"], request.get("link", "")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return {"ok": False, "text": "The message is of another version of dicomdock; restart the dock."}
        try:
            with self._calling:
                if action == "open" and isinstance(link, str):
                    return {"ok": True, "text": self._on_link(link) or ""}
                if action == "show":
                    return {"ok": True, "text": self._on_show() or ""}
        except DicomdockError as error:
            return {"ok": False, "text": str(error)}
        except Exception as error:  # noqa: BLE001 - a job boundary: the dock lives on
            # No traceback: its text may quote the link.
            _log.error("A link could not be taken: %s.", type(error).__name__)
            return {"ok": False, "text": "The running dock could not take the link; see its log."}
        return {"ok": False, "text": "The running dock does not know this request; restart it."}
