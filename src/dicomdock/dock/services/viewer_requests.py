"""Errands: what a viewer asks of the process that started it, because it needs a server.

A viewer holds no login. It says what it wants sent or fetched; the connections, with the tokens of links
among them, stay here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError, NotFound

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client
    from dicomdock.dock.service import Dock
    from dicomdock.sources import StoreResult
    from dicomdock.transfer import MissingSource

ON_THE_SERVER = ("stored", "warning", "duplicate")
PATIENCE = 15.0  # seconds for a server to say whether it has a series

log = logging.getLogger(__name__)
T = TypeVar("T")
Message = Mapping[str, Any]
Say = Callable[[Message], None]
"""Sends an order to the viewer that asked, while its errand runs."""


class Errands:
    """Runs the errands of viewers that were started without a dock, with the servers of the user's list.

    Thread-safe; each errand runs in a thread of its own.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, study: str, errand: Message, say: Say) -> Message:
        """Do what a viewer asks for, and give the answer; what fails is said in its ``error``.

        Parameters
        ----------
        study : that the viewer shows; it is given nothing of another one.
        errand : ``what`` is wanted, and its facts.
        say : tells the viewer how far it is.
        """
        try:
            match errand.get("what"):
                case "servers":
                    return self._servers(str(errand.get("origin", "")))
                case "send":
                    return self._send(study, str(errand["server"]), set(errand["series"]), say)
                case "fetch":
                    return self._fetch(study, say)
                case "changed":
                    self.changed(study)
                    return {}
                case what:
                    return {"error": f"{what} is nothing that can be done."}
        except DicomdockError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - a job boundary: the viewer must not wait for ever
            # No traceback: its text may quote a token that a library took for malformed.
            log.error("An errand of a viewer failed: %s.", type(error).__name__)  # noqa: TRY400
            return {"error": "Something unexpected went wrong in dicomdock; its log has the details."}

    # What a dock does otherwise

    def names(self) -> tuple[str, ...]:
        """Give the names of the user's servers."""
        from dicomdock.config.servers import load_profiles

        return load_profiles(self.settings).names

    def links(self) -> frozenset[str]:
        """Name the connections that links brought, and that can still be used."""
        return frozenset()

    def connect(self, name: str) -> Client:
        """Connect to a server, or by the connection of a link."""
        from dicomdock.dicomweb import connect

        return connect(name, self.settings)

    def pull(self, server: str, series: Sequence[Resource], say: Say) -> None:
        """Download series; the viewer is told when that begins and when it has ended."""
        from dicomdock.archive import Archive
        from dicomdock.transfer import pull

        say({"do": "pulling", "running": True})
        try:
            with Archive.open(self.settings) as archive, self.connect(server) as client:
                report = _through(pull(client, archive, series, self.settings), say)
        finally:
            say({"do": "pulling", "running": False})
        if not report.complete:
            why = next(iter((*report.failures, *report.missing)))
            raise NotFound(f"{server} did not give all of it: {why.reason}")

    def changed(self, study: str) -> None:
        """Take notice that the study has changed in the archive."""

    def sent(self, server: str, study: str) -> None:
        """Take notice that something of the study was sent."""

    # The errands

    def _servers(self, origin: str) -> Message:
        """Name where something can be sent, and where its images came from: the usual place for it."""
        names = [*self.names()]
        if origin in self.links():
            names.insert(0, origin)
        came_from = origin.partition(" (link")[0]  # a link's connection is named after its server
        usual = next((name for name in (origin, came_from) if name in names), "")
        remark = ""
        if origin and not usual:
            remark = (
                f"The images came from {origin}, for which dicomdock has no login now:"
                " add that server, or open its link again."
            )
        return {"servers": names, "usual": usual or next(iter(names), ""), "remark": remark}

    def _send(self, study: str, server: str, series: set[str], say: Say) -> Message:
        """Send what was made here of some series, and give the server's answer for each instance.

        What was answered before everything failed still counts.
        """
        from dicomdock.archive import Archive
        from dicomdock.sources import Part
        from dicomdock.transfer import push

        answers: dict[Resource, StoreResult] = {}
        problem = ""
        with Archive.open(self.settings) as archive, self.connect(server) as client:
            made = [
                one
                for one in archive.instances(Resource(study))
                if one.made_here and one.resource.series in series
            ]
            parts = [Part.from_file(one.path, resource=one.resource) for one in made]
            try:
                _through(push(parts, client, self.settings, ledger=answers.__setitem__), say)
            except DicomdockError as error:
                if not answers:
                    raise
                problem = str(error)
            there = [place for place, answer in answers.items() if answer.status in ON_THE_SERVER]
            archive.record_sent(there, server)
            archive.forget(server)
        self.sent(server, study)
        return {
            "results": [_told(one.resource, answers.get(one.resource)) for one in made],
            "problem": problem,
        }

    def _fetch(self, study: str, say: Say) -> Message:
        """Find who has the images that objects of the study refer to, and begin to download them."""
        from dicomdock.archive import Archive
        from dicomdock.transfer import missing_sources

        with Archive.open(self.settings) as archive:
            missing = missing_sources(archive, Resource(study))
            origins = [one.origin for one in archive.instances(Resource(study))]
        names = [*dict.fromkeys((*self.links().intersection(origins), *self.names()))]
        found = holders(missing, names, self.connect, first=origins)
        for server, series in found.items():
            self.pull(server, series, say)
        return {"servers": list(found)}


class DockErrands(Errands):
    """Runs the errands of a dock's viewers: links' connections too, and its pages see what was done."""

    def __init__(self, dock: Dock) -> None:
        super().__init__(dock.settings)
        self._dock = dock

    def links(self) -> frozenset[str]:
        """Name the connections of the dock's links."""
        return self._dock.links.connections

    def connect(self, name: str) -> Client:
        """Connect with what the dock knows."""
        return self._dock.connect(name)

    def pull(self, server: str, series: Sequence[Resource], say: Say) -> None:  # noqa: ARG002
        """Queue the download; the dock tells the viewer when it begins and when it has ended."""
        self._dock.pull(server, series)

    def changed(self, study: str) -> None:
        """Let the pages look the study up."""
        from dicomdock.dock.services.events import ArchiveChanged

        self._dock.events.publish(ArchiveChanged(study))

    def sent(self, server: str, study: str) -> None:
        """Let the pages ask the server again."""
        from dicomdock.dock.services.events import ServerChanged

        self._dock.events.publish(ServerChanged(server, study))


def holders(
    missing: Sequence[MissingSource],
    names: Sequence[str],
    connect: Callable[[str], Client],
    *,
    first: Sequence[str] = (),
) -> dict[str, list[Resource]]:
    """Ask servers for series that are missing, and give from where each can be fetched.

    Parameters
    ----------
    missing : what is wanted.
    names : the servers to ask, in the user's order.
    connect : gives the connection to one; closed here.
    first : servers that are taken before the others that have a series.

    Raises
    ------
    NotFound
        None of them has any.
    """
    from dicomdock.transfer import locate

    with ExitStack() as stack:

        def opened(name: str) -> Client:
            return stack.enter_context(connect(name))

        located = locate(missing, {name: partial(opened, name) for name in names}, patience=PATIENCE)
    found: dict[str, list[Resource]] = {}
    for one in located:
        if one.servers:
            server = next((name for name in first if name in one.servers), one.servers[0])
            found.setdefault(server, []).append(one.series)
    if not found:
        asked = f"None of {', '.join(names)} has" if names else "There is no server yet that could have"
        raise NotFound(f"{asked} the images that this belongs to.")
    return found


def _told(place: Resource, answer: StoreResult | None) -> Message:
    """Write what became of an instance; None where it was not sent at all."""
    said = {"uid": place.instance, "series": place.series}
    if answer is None:
        return {**said, "status": "unsent", "code": None, "reason": ""}
    return {**said, "status": answer.status, "code": answer.reason_code, "reason": answer.reason}


def _through(steps: Generator[Any, None, T], say: Say) -> T:
    """Run a transfer to its end, and tell the viewer how far it is."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if step.expected:
            say({"do": "progress", "done": step.done + step.failed, "of": step.expected})
