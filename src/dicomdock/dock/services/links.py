"""Links from other programs: asked about, answered, and turned into transfers."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NoReturn, assert_never

from dicomdock.dicom.resource import Resource
from dicomdock.dock.addresses import open_address
from dicomdock.dock.security.sessions import Grant
from dicomdock.dock.services.connections import Connections
from dicomdock.dock.services.events import Events, LinkArrived
from dicomdock.dock.services.servers import Servers
from dicomdock.dock.services.transfers import Transfers
from dicomdock.errors import DicomdockError, LaunchError
from dicomdock.launch.link import LaunchRequest, parse
from dicomdock.launch.trust import (
    Allowed,
    Ask,
    ChooseServer,
    Decision,
    JustRefused,
    OpenQuestion,
    Question,
    QuestionBox,
    Refused,
    TrustStore,
    decide,
    use_server,
)
from dicomdock.sources import DicomJson
from dicomdock.transfer.linked import connect_link, resources_of, studies_of_link, wants_a_choice
from dicomdock.web.resolve import Resolve, system_resolve

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings

Answer = Literal["refuse", "once", "always"]
Stage = Literal["asking", "opening", "choosing", "fetching", "refused", "failed"]
MAX_LINKS = 50  # links that have a page
QUIET_SECONDS = 5.0  # a site cannot pull its refused page before the user all the time
_REFUSED_AGAIN = (
    "You have just refused links to this server, so that the click on this one opened nothing; for a minute"
    " you are not asked again."
)
MAX_THREADS = 4  # links that wait for name servers and lists at once

log = logging.getLogger("dicomdock.dock")


@dataclass(frozen=True)
class Offer:
    """What a link's token opens, for the user to choose from.

    Parameters
    ----------
    connection : the name of the connection to fetch it by.
    studies : the newest first.
    """

    connection: str
    studies: tuple[DicomJson, ...]


@dataclass(frozen=True)
class LinkStatus:
    """The state of a link, or of several about the same server.

    Parameters
    ----------
    number : stands in the address of its page.
    stage : how far it is.
    question : what the user is asked, while it is open.
    offer : what the user can choose from, until the choice.
    refused : the question that the user refused, which can be asked again.
    studies : what is being fetched, by UID.
    series : the one series of it that was asked for; empty for all.
    message : why it ended, or what of it failed.
    """

    number: int
    stage: Stage
    question: OpenQuestion | None = None
    offer: Offer | None = None
    refused: OpenQuestion | None = None
    studies: tuple[str, ...] = ()
    series: str = ""
    message: str = ""

    @property
    def page(self) -> str:
        """The address of the page that shows it."""
        if self.stage == "fetching" and len(self.studies) == 1 and not self.message:
            return open_address(Resource(self.studies[0], self.series or None))
        return f"/link/{self.number}"


Agree = Callable[[LaunchRequest, Resolve], Decision]
"""Decides on a link, with the user's answers so far."""


class Links:
    """The links of one dock. Thread-safe. What needs the network is done by threads of its own.

    Parameters
    ----------
    settings : of connections and trust.
    servers : the user's list.
    own_token : return what a token opens in this dock's own DICOMweb service at an address, if anything.
    connections : hold the tokens.
    transfers : download what is allowed.
    prepare : called when a link comes, to have a viewer ready.
    show : shows a page to the user.
    events : inform the pages.
    """

    def __init__(
        self,
        settings: Settings,
        servers: Servers,
        own_token: Callable[[str, str], Grant | None],
        connections: Connections,
        transfers: Transfers,
        prepare: Callable[[], None],
        show: Callable[[str], None],
        events: Events,
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._own_token = own_token
        self._connections = connections
        self._transfers = transfers
        self._prepare = prepare
        self._show_page = show
        self._events = events
        self._box = QuestionBox()
        self._trust = TrustStore(settings)
        self._statuses: dict[int, LinkStatus] = {}
        self._numbers = itertools.count(1)
        self._quiet_until = 0.0
        self._lock = threading.RLock()
        self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="link")

    def close(self) -> None:
        """Stop; links that wait are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def receive(self, link: str) -> str:
        """Ask about a link, or open it, and show its page, without waiting for the network.

        Returns
        -------
        The answer to the sender.

        Raises
        ------
        LaunchError
            The link is refused.
        """
        request = parse(link)
        self._prepare()
        decision = self._own(request) or self._decide(request, None, _not_now)
        match decision:
            case Refused(reason):
                raise LaunchError(reason)
            case Ask() | ChooseServer():
                try:
                    question = self._box.put(decision, request)
                except JustRefused as refused:
                    self._show_refused(refused.key)
                    raise
                same = self._asking(question.key)
                number = same[0].number if same else next(self._numbers)
                self._show(self._update(LinkStatus(number, "asking", question)))
                return "dicomdock asks you whether to open it."
            case Allowed():
                self._show(self._open_allowed(next(self._numbers), [request], self._decide_again))
            case LinkStatus():
                self._show(self._update(decision))
            case _:
                assert_never(decision)
        return "dicomdock opens it."

    def get(self, number: int) -> LinkStatus | None:
        """Return what is known of a link."""
        with self._lock:
            return self._statuses.get(number)

    def next_page(self, status: LinkStatus) -> str:
        """Return the page to look at now: the question that waits longest, before what needs no answer."""
        with self._lock:
            return next((other.page for other in self._statuses.values() if other.question), status.page)

    def answer(self, number: int, answer: Answer, *, server: str = "") -> LinkStatus:
        """Apply the user's answer, and begin to open when it is yes.

        Parameters
        ----------
        number : the link.
        answer : ``always`` remembers the origin.
        server : which server to use, where the link names none.

        Raises
        ------
        LaunchError
            The link was answered already.
        ProfileError
            There is no such server.
        """
        status = self.get(number)
        if status is None or status.question is None:
            raise LaunchError("This link was answered already.")
        decision = status.question.decision
        chosen = (
            self._servers.profiles().get(server) if isinstance(decision, ChooseServer) and server else None
        )
        asked = self._box.take(status.question.key, refused=answer == "refuse")
        others = [other for other in self._asking(status.question.key) if other.number != number]
        if asked is None:
            raise LaunchError("This link was answered already.")
        for other in others:
            self._update(replace(other, stage="refused", question=None, message="It was answered elsewhere."))
        decision = asked.decision
        if answer == "refuse" or (chosen is None and isinstance(decision, ChooseServer)):
            return self._update(LinkStatus(number, "refused", refused=asked, message="Nothing was fetched."))
        if isinstance(decision, Ask):
            question = decision.question
            if answer == "always":
                self._trust.add(question.origin)
            return self._open_allowed(
                number, asked.requests, lambda request, resolve: self._decide(request, question, resolve)
            )
        assert chosen is not None
        return self._open_allowed(number, asked.requests, lambda request, _: use_server(request, chosen))

    def ask_again(self, number: int) -> LinkStatus:
        """Take back that a link was refused: the question is open again.

        Raises
        ------
        LaunchError
            It was not refused, or too much waits already.
        """
        status = self.get(number)
        if status is None or status.refused is None:
            raise LaunchError("This link was not refused, or it was asked about again already.")
        question = self._box.ask_again(status.refused)
        self._update(replace(status, refused=None))
        same = self._asking(question.key)
        return self._update(LinkStatus(same[0].number if same else number, "asking", question))

    def choose(self, number: int, studies: Sequence[str]) -> LinkStatus:
        """Fetch what the user chose from an offer.

        Parameters
        ----------
        number : the link.
        studies : UIDs; those that were not offered are ignored.

        Raises
        ------
        LaunchError
            Nothing is offered (any more), or nothing of it was chosen.
        """
        with self._lock:
            status = self.get(number)
            if status is None or status.offer is None:
                raise LaunchError("The studies of this link were chosen already.")
            offer, wanted = status.offer, set(studies)
            chosen = [one for one in resources_of(offer.studies) if one.study in wanted]
            if not chosen:
                raise LaunchError("Choose at least one study.")
            known = replace(status, stage="fetching", offer=None)
            status = self._update(replace(known, studies=(*known.studies, *(one.study for one in chosen))))
        self._transfers.pull(offer.connection, chosen)
        return status

    def _show_refused(self, key: str) -> None:
        """Show the page of a question that was refused, as its link was clicked once more."""
        with self._lock:
            refused = [one for one in self._statuses.values() if one.refused and one.refused.key == key]
            now = time.monotonic()
            if not refused or now < self._quiet_until:
                return
            self._quiet_until = now + QUIET_SECONDS
            status = replace(refused[-1], message=_REFUSED_AGAIN)
        self._update(status)
        self._show_page(status.page)

    def _decide(self, request: LaunchRequest, agreed: Question | None, resolve: Resolve) -> Decision:
        return decide(request, self._servers.profiles(), self._trust, agreed=agreed, resolve=resolve)

    def _decide_again(self, request: LaunchRequest, resolve: Resolve) -> Decision:
        return self._decide(request, None, resolve)

    def _own(self, request: LaunchRequest) -> LinkStatus | None:
        """Accept a link that this dock made for a study of its own archive, which its token proves."""
        if request.token is None or request.endpoint is None or not request.resources:
            return None
        grant = self._own_token(request.endpoint, request.token.reveal())
        if grant is None:
            return None
        if not all(grant.resource is None or grant.resource.contains(one) for one in request.resources):
            return None
        asked = request.resources
        return LinkStatus(next(self._numbers), "fetching", studies=_studies(asked), series=_one_series(asked))

    def _asking(self, key: str) -> list[LinkStatus]:
        with self._lock:
            return [one for one in self._statuses.values() if one.question and one.question.key == key]

    def _open_allowed(self, number: int, requests: Sequence[LaunchRequest], agree: Agree) -> LinkStatus:
        """Open what was allowed: at once where that needs no network, else in the background."""
        if all(request.resources and _is_sure(agree(request, _not_now)) for request in requests):
            return self._open(number, requests, agree)
        status = self._update(LinkStatus(number, "opening"))
        self._pool.submit(self._open_in_background, number, requests, agree)
        return status

    def _open_in_background(self, number: int, requests: Sequence[LaunchRequest], agree: Agree) -> None:
        try:
            status = self._open(number, requests, agree)
        except Exception as error:  # noqa: BLE001 - a job boundary: its page must not wait for ever
            # No traceback: its text may quote the link.
            log.error("A link could not be opened: %s.", type(error).__name__)  # noqa: TRY400
            why = "Something unexpected went wrong in dicomdock; its log has the details."
            status = self._update(LinkStatus(number, "failed", message=why))
        if status.question is not None:
            self._show(status)

    def _open(self, number: int, requests: Sequence[LaunchRequest], agree: Agree) -> LinkStatus:
        """Open links of one page, one after the other; what fails is shown beside what does not."""
        status = LinkStatus(number, "failed")
        for request in requests:
            try:
                status = self._opened(status, request, agree(request, system_resolve))
            except DicomdockError as error:
                messages = dict.fromkeys((*filter(None, [status.message]), str(error)))
                status = replace(status, message=" ".join(messages))
        return self._update(status)

    def _opened(self, status: LinkStatus, request: LaunchRequest, decision: Decision) -> LinkStatus:
        """Return what a page shows after one more of its links."""
        match decision:
            case Refused(reason):
                raise LaunchError(reason)
            case Ask() | ChooseServer():
                return replace(status, stage="asking", question=self._box.put(decision, request))
            case Allowed():
                name = self._connections.add_link(request, decision)
            case _:
                assert_never(decision)
        resources: Sequence[Resource] = request.resources
        if not resources:
            with connect_link(request, decision, self._settings) as client:
                found = studies_of_link(request, client)
            if wants_a_choice(request, found) and status.offer is None:
                stage: Stage = "asking" if status.question else "choosing"
                return replace(status, stage=stage, offer=Offer(name, tuple(found)))
            resources = resources_of(found)
        self._transfers.pull(name, resources)
        stage = "fetching" if status.stage == "failed" else status.stage
        series = "" if status.studies else _one_series(resources)
        return replace(status, stage=stage, studies=_studies(resources, status.studies), series=series)

    def _show(self, status: LinkStatus) -> None:
        self._show_page(self.next_page(status))

    def _update(self, status: LinkStatus) -> LinkStatus:
        with self._lock:
            self._statuses[status.number] = status
            ended = [one.number for one in self._statuses.values() if one.stage in _OVER]
            for number in ended[: max(0, len(self._statuses) - MAX_LINKS)]:
                del self._statuses[number]
        self._events.publish(LinkArrived(status.number))
        return status


_OVER: frozenset[Stage] = frozenset({"fetching", "refused", "failed"})


def _studies(resources: Sequence[Resource], before: Sequence[str] = ()) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *(resource.study for resource in resources))))


def _one_series(resources: Sequence[Resource]) -> str:
    return resources[0].series or "" if len(resources) == 1 else ""


def _is_sure(decision: Decision) -> bool:
    """Return whether nothing need be looked up for this decision."""
    return isinstance(decision, Allowed) and decision.addresses != ()


def _not_now(host: str, _: int) -> NoReturn:
    """Stand in for the name servers where nobody may wait for them."""
    raise OSError(f"{host} was not looked up")
