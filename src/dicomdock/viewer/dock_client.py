"""Requests of the viewer to the process that started it, which holds the logins."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

from dicomdock import rpc
from dicomdock.errors import DicomdockError

Progress = Callable[[int, int], None]
"""Called with the number of instances that are done, and of all."""
R = TypeVar("R", bound=rpc.Reply)


class RequestFailed(DicomdockError):
    """The dock could not do what was asked; the message is the dock's."""


class DockClient:
    """Sends requests and awaits their replies; on the event loop.

    Parameters
    ----------
    send : writes an event to the dock.
    """

    def __init__(self, send: Callable[[rpc.Event], None]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[rpc.Reply], Progress | None]] = {}

    async def list_servers(self, origin: str) -> rpc.ServersReply:
        """Ask where the study can be sent.

        Parameters
        ----------
        origin : the connection that it came by; empty where it is unknown.

        Raises
        ------
        RequestFailed
            The dock does not know.
        """
        return await self._ask(rpc.ListServers(next(self._numbers), origin), rpc.ServersReply)

    async def send_series(
        self, server: str, series: Sequence[str], deidentify: str, progress: Progress | None = None
    ) -> rpc.SendReply:
        """Ask to send series that were made on this computer, or copies de-identified by a profile.

        Raises
        ------
        RequestFailed
            Nothing was sent.
        """
        request = rpc.SendSeries(next(self._numbers), server, tuple(series), deidentify)
        return await self._ask(request, rpc.SendReply, progress)

    async def preview_copies(self, series: Sequence[str], deidentify: str) -> str:
        """Ask what a receiver of copies that are de-identified by a profile will see, in sentences.

        Raises
        ------
        RequestFailed
            The copies cannot be made.
        """
        request = rpc.PreviewCopies(next(self._numbers), tuple(series), deidentify)
        return (await self._ask(request, rpc.PreviewReply)).words

    async def fetch_sources(self) -> rpc.FetchReply:
        """Ask to download the images that objects of the study refer to.

        Raises
        ------
        RequestFailed
            No server has them.
        """
        return await self._ask(rpc.FetchSources(next(self._numbers)), rpc.FetchReply)

    async def find_priors(self) -> rpc.PriorsReply:
        """Ask which other studies of the patient the servers have and the archive does not.

        Raises
        ------
        RequestFailed
            They could not be asked.
        """
        return await self._ask(rpc.FindPriors(next(self._numbers)), rpc.PriorsReply)

    async def fetch_prior(self, study: str) -> rpc.FetchReply:
        """Ask to download a study that ``find_priors`` found.

        Raises
        ------
        RequestFailed
            It cannot be.
        """
        return await self._ask(rpc.FetchPrior(next(self._numbers), study), rpc.FetchReply)

    async def list_address(self) -> str:
        """Ask for an address of the list of studies, which works once.

        Raises
        ------
        RequestFailed
            The dock does not answer.
        """
        return (await self._ask(rpc.FindList(next(self._numbers)), rpc.AddressReply)).address

    def study_changed(self) -> None:
        """Report that something was written to the study in the archive."""
        self._send(rpc.StudyChanged())

    def receive(self, message: rpc.Progress | rpc.Reply) -> None:
        """Handle a reply, or the progress of a request; one that nobody waits for is ignored."""
        reply, progress = self._waiting.get(message.request, (None, None))
        if isinstance(message, rpc.Progress):
            if progress is not None:
                progress(message.done, message.total)
        elif reply is not None and not reply.done():
            reply.set_result(message)

    async def _ask(self, request: rpc.Request, kind: type[R], progress: Progress | None = None) -> R:
        waiting: asyncio.Future[rpc.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request.request] = (waiting, progress)
        self._send(request)
        try:
            reply = await waiting
        finally:
            del self._waiting[request.request]
        if isinstance(reply, rpc.ErrorReply):
            raise RequestFailed(reply.message)
        if not isinstance(reply, kind):
            raise RequestFailed(f"The dock answered with {type(reply).__name__}.")
        return reply
