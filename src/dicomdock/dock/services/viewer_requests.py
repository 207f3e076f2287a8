"""Answers to what viewers ask of the process that started them, because it needs a server.

A viewer holds no login. It names what to send or fetch; the connections, with the tokens of links among them,
stay in this process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dicomdock import rpc
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.viewer_process import Send
from dicomdock.errors import DicomdockError, NotFound
from dicomdock.transfer.progress import ON_THE_SERVER

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client
    from dicomdock.sources import StoreResult
    from dicomdock.transfer import MissingSource
    from dicomdock.transfer.files import Selection
    from dicomdock.transfer.priors import Patient

PATIENCE = 15.0  # seconds for a server to say whether it has a series

log = logging.getLogger(__name__)
T = TypeVar("T")


class Network(Protocol):
    """What answering needs of the process around: its connections, its downloads, and who else must know."""

    has_list: bool

    def server_names(self) -> tuple[str, ...]:
        """Return the names of the user's servers."""

    def link_names(self) -> frozenset[str]:
        """Return the names of the connections that links brought, and that can still be used."""

    def connect(self, name: str) -> Client:
        """Connect to a server, or by the connection of a link; the caller closes it."""

    def pull(self, server: str, series: Sequence[Resource], send: Send) -> None:
        """Download series, or queue the download."""

    def list_address(self) -> str:
        """Return an address of the list of studies that works once; empty where there is no such page."""

    def study_changed(self, study: str) -> None:
        """Report that the study changed in the archive."""

    def sent(self, server: str, study: str) -> None:
        """Report that something of the study was sent."""


class ViewerRequests:
    """Answers the requests of viewers. Thread-safe; each request runs in a thread of its own.

    Parameters
    ----------
    settings : where the archive is.
    network : the process around.
    """

    def __init__(self, settings: Settings, network: Network) -> None:
        self._settings = settings
        self._network = network
        self._priors: dict[tuple[str, str], str] = {}  # shown study and prior -> the server that has it

    @property
    def has_list(self) -> bool:
        """Whether there is a page that lists studies."""
        return self._network.has_list

    def answer(self, study: str, request: rpc.Request, send: Send) -> rpc.Reply:
        """Do what a viewer asks for, and return the reply; a failure becomes an ``ErrorReply``.

        Parameters
        ----------
        study : the one that the viewer shows; of others nothing is used but the patient's, once found.
        request : what is wanted.
        send : sends the viewer its progress.
        """
        number = request.request

        def progress(done: int, total: int) -> None:
            send(rpc.Progress(number, done, total))

        try:
            match request:
                case rpc.ListServers(_, origin):
                    return self._list_servers(number, origin)
                case rpc.SendSeries(_, server, series, deidentify):
                    return self._send(number, study, server, set(series), deidentify, progress)
                case rpc.PreviewCopies(_, series, deidentify):
                    return self._preview(number, study, series, deidentify)
                case rpc.FetchSources():
                    return rpc.FetchReply(number, self.fetch_sources(study, send))
                case rpc.FindPriors():
                    return self._find_priors(number, study)
                case rpc.FetchPrior(_, prior):
                    return self._fetch_prior(number, study, prior)
                case rpc.FindList():
                    return rpc.AddressReply(number, self._network.list_address())
        except DicomdockError as error:
            return rpc.ErrorReply(number, str(error))
        except Exception as error:  # noqa: BLE001 - a job boundary: the viewer must not wait for ever
            # No traceback: its text may quote a token that a library took for malformed.
            log.error("A request of a viewer failed: %s.", type(error).__name__)  # noqa: TRY400
            return rpc.ErrorReply(
                number, "Something unexpected went wrong in dicomdock; its log has the details."
            )

    def study_changed(self, study: str) -> None:
        """Report that a viewer wrote to the study in the archive."""
        self._network.study_changed(study)

    def fetch_sources(self, study: str, send: Send = lambda _: None) -> tuple[str, ...]:
        """Begin to download the images that objects of the study refer to; return the servers.

        Raises
        ------
        NotFound
            No server has them.
        """
        from dicomdock.archive import Archive
        from dicomdock.transfer import missing_sources

        with Archive.open(self._settings) as archive:
            missing = missing_sources(archive, Resource(study))
            origins = [one.origin for one in archive.instances(Resource(study))]
        network = self._network
        names = [*dict.fromkeys((*network.link_names().intersection(origins), *network.server_names()))]
        found = holders(missing, names, network.connect, first=origins)
        for server, series in found.items():
            network.pull(server, series, send)
        return tuple(found)

    def _find_priors(self, number: int, study: str) -> rpc.PriorsReply:
        """Search all servers for the patient's studies that are not here."""
        from dicomdock.archive import Archive
        from dicomdock.transfer.priors import patient_of

        network = self._network
        with Archive.open(self._settings) as archive:
            patient = patient_of(archive, study)
            origins = [one.origin for one in archive.instances(Resource(study))]
            if patient is None or not patient.id:
                raise NotFound(
                    "The study states no Patient ID, so other studies of the same patient cannot be found."
                )
            names = [*dict.fromkeys((*network.link_names().intersection(origins), *network.server_names()))]
            if not names:
                raise NotFound("There is no server yet that could have other studies; add one under Servers.")
            studies, problems = _on_servers(patient, names, network.connect)
            absent = [
                one for one in studies if one.study != study and not archive.present(Resource(one.study))
            ]
        self._priors.update({(study, one.study): one.server for one in absent})
        absent.sort(key=lambda one: (one.date, one.study), reverse=True)
        return rpc.PriorsReply(number, tuple(absent), problems)

    def _fetch_prior(self, number: int, study: str, prior: str) -> rpc.FetchReply:
        server = self._priors.get((study, prior))
        if server is None:
            raise NotFound("That study was not found for this patient; search the servers again.")
        self._network.pull(server, [Resource(prior)], lambda _: None)
        return rpc.FetchReply(number, (server,))

    def _list_servers(self, number: int, origin: str) -> rpc.ServersReply:
        """Name where something can be sent; by default to where its images came from."""
        names = [*self._network.server_names()]
        if origin in self._network.link_names():
            names.insert(0, origin)
        came_from = origin.partition(" (link")[0]  # a link's connection is named after its server
        default = next((name for name in (origin, came_from) if name in names), "")
        remark = ""
        if origin and not default:
            remark = (
                f"The images came from {origin}, for which dicomdock has no login now:"
                " add that server, or open its link again."
            )
        return rpc.ServersReply(number, tuple(names), default or next(iter(names), ""), remark)

    def _send(
        self,
        number: int,
        study: str,
        server: str,
        series: set[str],
        deidentify: str,
        progress: Callable[[int, int], None],
    ) -> rpc.SendReply:
        """Send what was made on this computer of some series; what was answered before a failure counts.

        Parameters
        ----------
        deidentify : profile of the copies that are sent; empty for the instances themselves.
        """
        from dicomdock.archive import Archive
        from dicomdock.transfer.files import Selection
        from dicomdock.transfer.push import push

        answers: dict[Resource, StoreResult] = {}
        problem = ""
        with Archive.open(self._settings) as archive, self._network.connect(server) as client:
            made = [
                one
                for one in archive.instances(Resource(study))
                if one.made_here and one.resource.series in series
            ]
            selection = Selection.of(archive.part(one) for one in made)
            leaves_as = {one.resource: one.resource for one in made}
            if deidentify:
                selection, leaves_as = self._copies(selection, deidentify)
            try:
                steps = push(
                    selection, client, self._settings, ledger=answers.__setitem__, on_cancel=client.close
                )
                run_steps(steps, progress)
            except DicomdockError as error:
                if not answers:
                    raise
                problem = str(error)
            stored = [one for one, answer in answers.items() if answer.status in ON_THE_SERVER]
            if deidentify:
                stored = []  # who has a copy does not have the instance
            archive.retention.record_sent(stored, server)
            archive.query_cache.drop(server)
        self._network.sent(server, study)
        held_back = {one.result.sop_instance_uid: one.result for one in selection.unsent}
        results = tuple(
            _result(one, answers.get(name) or held_back.get(one.instance or ""))
            for one, name in leaves_as.items()
        )
        return rpc.SendReply(number, results, problem)

    def _preview(self, number: int, study: str, series: Sequence[str], profile: str) -> rpc.PreviewReply:
        """Describe what a receiver of de-identified copies of some series will see."""
        from dicomdock.archive import Archive
        from dicomdock.dock.services.deidentified import preview, words_of

        with Archive.open(self._settings) as archive:
            seen = preview(archive, self._settings, [Resource(study, one) for one in series], profile)
        return rpc.PreviewReply(number, words_of(seen))

    def _copies(self, selection: Selection, profile: str) -> tuple[Selection, dict[Resource, Resource]]:
        """Return de-identified copies, and the UIDs under which each instance leaves."""
        from dicomdock.transfer.deidentified import Copies, make_deidentifier

        copies = Copies(make_deidentifier(self._settings, profile))
        found = [part.resource for part in selection.parts if part.resource is not None]
        return run_steps(copies.of(selection), lambda *_: None), {one: copies.resource(one) for one in found}


class StandaloneNetwork:
    """The servers of the user's list, for viewers that were started without a dock.

    Parameters
    ----------
    settings : where the archive and the list of servers are.
    """

    has_list = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def server_names(self) -> tuple[str, ...]:
        """Return the names of the user's servers."""
        from dicomdock.config.servers import load_profiles

        return load_profiles(self._settings).names

    def link_names(self) -> frozenset[str]:
        """Return no name: links are opened by docks alone."""
        return frozenset()

    def connect(self, name: str) -> Client:
        """Connect to a server of the list."""
        from dicomdock.dicomweb import connect

        return connect(name, self._settings)

    def pull(self, server: str, series: Sequence[Resource], send: Send) -> None:
        """Download series; the viewer is informed when that begins and when it has ended.

        Raises
        ------
        NotFound
            The server did not return all of it.
        """
        from dicomdock.archive import Archive
        from dicomdock.transfer.pull import pull

        send(rpc.PullChanged(running=True))
        try:
            with Archive.open(self._settings) as archive, self.connect(server) as client:
                steps = pull(client, archive, series, self._settings, on_cancel=client.close)
                report = run_steps(steps, lambda *_: None)
        finally:
            send(rpc.PullChanged(running=False))
        if not report.complete:
            why = next(iter((*report.failures, *report.missing)))
            raise NotFound(f"{server} did not return all of it: {why.reason}")

    def list_address(self) -> str:
        """Return nothing: there is no page."""
        return ""

    def study_changed(self, study: str) -> None:
        """Do nothing: no page is open that shows it."""

    def sent(self, server: str, study: str) -> None:
        """Do nothing: no page is open that shows it."""


def holders(
    missing: Sequence[MissingSource],
    names: Sequence[str],
    connect: Callable[[str], Client],
    *,
    first: Sequence[str] = (),
) -> Mapping[str, list[Resource]]:
    """Ask servers for series that are missing, and return from where each can be fetched.

    Parameters
    ----------
    missing : what is wanted.
    names : the servers to ask, in the user's order.
    connect : opens the connection to one; closed here.
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


def _on_servers(
    patient: Patient, names: Sequence[str], connect: Callable[[str], Client]
) -> tuple[list[rpc.PriorStudy], tuple[str, ...]]:
    """Return the patient's studies on servers, each once, and which servers did not answer."""
    from dicomdock import federation
    from dicomdock.dicom.json_model import text, texts
    from dicomdock.transfer.priors import Patient

    found: dict[str, rpc.PriorStudy] = {}
    problems = []
    with ExitStack() as stack:

        def opened(name: str) -> Client:
            return stack.enter_context(connect(name))

        sources = {name: partial(opened, name) for name in names}
        for answer in federation.search(sources, patient.query, patience=PATIENCE):
            if answer.error:
                problems.append(answer.error)
            for match in answer.page.matches:
                one = match.attributes
                if not patient.is_same(Patient.of(one)):
                    continue
                count = text(one, "NumberOfStudyRelatedInstances")
                study = rpc.PriorStudy(
                    text(one, "StudyInstanceUID"),
                    answer.source,
                    text(one, "StudyDate"),
                    text(one, "StudyDescription"),
                    tuple(texts(one, "ModalitiesInStudy")),
                    int(count) if count.isdecimal() else 0,
                )
                found.setdefault(study.study, study)
    return list(found.values()), tuple(problems)


def _result(resource: Resource, answer: StoreResult | None) -> rpc.InstanceResult:
    uids = (resource.instance or "", resource.series or "")
    if answer is None:
        return rpc.InstanceResult(*uids, "unsent")
    return rpc.InstanceResult(*uids, answer.status, answer.reason_code, answer.reason)


def run_steps(steps: Generator[Any, None, T], progress: Callable[[int, int], None]) -> T:
    """Run a transfer to its end, and report how far it is."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if step.expected:
            progress(step.done + step.failed, step.expected)
