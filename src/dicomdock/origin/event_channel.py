"""The event channel: a WebSocket on which a subscriber receives the reports about work items.

What is waiting lies in the database of the work list, so that nothing is held here for a client that takes
nothing: such a client is cut, and finds its reports when it connects again.

References
----------
PS3.18 §8.10.4 (Open Notification Connection), §8.10.5 (Send Event Report); RFC 6455.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import anyio
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from dicomdock.errors import DicomdockError
from dicomdock.origin.context import Origin
from dicomdock.origin.responses import STALLED, in_thread, sentence
from dicomdock.origin.worklist import worklist_database
from dicomdock.worklist.subscribers import Subscribers
from dicomdock.worklist.subscriptions import check_ae_title

log = logging.getLogger(__name__)

MAX_CHANNELS = 64  # of one process
EVERY = 1.0  # seconds from one look for new reports to the next
AT_ONCE = 16  # reports that are read at once
TRY_AGAIN_LATER = 1013


class EventChannels:
    """The event channels of a server.

    Parameters
    ----------
    origin : whose work list it is.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one subscriber until it goes."""
        socket = WebSocket(scope, receive, send)
        if self._open >= MAX_CHANNELS:
            await socket.send_denial_response(sentence("Too many event channels are open.", 503))
            return
        self._open += 1
        try:
            await self._serve(socket)
        finally:
            self._open -= 1

    async def _serve(self, socket: WebSocket) -> None:
        try:
            title = check_ae_title(socket.path_params["aetitle"])
            subscribers = await in_thread(lambda: Subscribers(worklist_database(self._origin)))
            number = await in_thread(lambda: subscribers.begin(title))
        except DicomdockError as error:
            await socket.send_denial_response(sentence(str(error), error.http_status))
            return
        await socket.accept()
        gone = asyncio.ensure_future(_gone(socket))
        try:
            while not gone.done():
                number = await self._send_waiting(socket, subscribers, title, number, gone)
                await asyncio.wait([gone], timeout=EVERY)
        except TimeoutError:
            log.warning("An event channel was closed: its subscriber took nothing for %g s", STALLED)
            await _close(socket)
        except WebSocketDisconnect:
            pass
        except (DicomdockError, OSError) as error:
            log.warning("An event channel was closed: %s", error)
            await _close(socket)
        finally:
            gone.cancel()

    async def _send_waiting(
        self,
        socket: WebSocket,
        subscribers: Subscribers,
        title: str,
        number: int,
        gone: asyncio.Future[None],
    ) -> int:
        """Send all that is waiting; the number of the last report.

        What a subscriber was sent that has gone meanwhile is sent again to its next connection.
        """
        while True:
            waiting = await in_thread(partial(subscribers.waiting, title, number, AT_ONCE))
            for one in waiting:
                with anyio.fail_after(STALLED):
                    await socket.send_text(one.report)
                number = one.number
            if waiting and not gone.done():
                await in_thread(partial(subscribers.mark_sent, title, number))
            if len(waiting) < AT_ONCE or gone.done():
                return number


async def _gone(socket: WebSocket) -> None:
    """Wait until the subscriber has gone; what it sends means nothing."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(socket: WebSocket) -> None:
    """Close a channel whose client may take nothing any more."""
    with anyio.move_on_after(1):
        try:
            await socket.close(TRY_AGAIN_LATER)
        except (RuntimeError, WebSocketDisconnect, OSError):
            return
