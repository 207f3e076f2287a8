"""Links that came: asked about, answered, and turned into transfers. The tokens stay in this memory."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, assert_never

from dicomdock.dock.events import LinkArrived
from dicomdock.errors import DicomdockError, LaunchError
from dicomdock.launch.link import LaunchRequest, parse
from dicomdock.launch.trust import (
    Allowed,
    Ask,
    ChooseServer,
    OpenQuestion,
    QuestionBox,
    Refused,
    TrustStore,
    decide,
    use_server,
)
from dicomdock.resource import Resource
from dicomdock.transfer.linked import connect_link, resources_of_link

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client
    from dicomdock.dock.service import Dock

Answer = Literal["refuse", "once", "always"]
Stage = Literal["asking", "fetching", "refused", "failed"]
MOST_KEPT = 50  # links whose page can still be looked at


@dataclass(frozen=True)
class Arrival:
    """A link, or several about the same server, and what became of it.

    Parameters
    ----------
    number : stands in the address of its page.
    stage : where it is.
    question : what the user is asked, while he is asked.
    studies : what is being fetched, by UID.
    message : why it ended, in words.
    """

    number: int
    stage: Stage
    question: OpenQuestion | None = None
    studies: tuple[str, ...] = ()
    message: str = ""

    @property
    def page(self) -> str:
        """The address of the page that shows it."""
        if self.stage == "fetching" and len(self.studies) == 1:
            return f"/study/{self.studies[0]}"
        return f"/link/{self.number}"


class Links:
    """The links of one dock. Thread-safe; methods block.

    Parameters
    ----------
    dock : transfers what is allowed, and shows the pages.
    """

    def __init__(self, dock: Dock) -> None:
        self._dock = dock
        self._box = QuestionBox()
        self._trust = TrustStore(dock.settings)
        self._arrivals: dict[int, Arrival] = {}
        self._asking: dict[str, int] = {}
        self._connections: dict[str, tuple[LaunchRequest, Allowed]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def receive(self, link: str) -> str:
        """Take a link; ask, or go on with it, and show the page.

        Returns
        -------
        What to tell the sender.

        Raises
        ------
        LaunchError
            The link is refused.
        """
        return self._consider(parse(link), None, None)

    def get(self, number: int) -> Arrival | None:
        """Give what is known of a link."""
        with self._lock:
            return self._arrivals.get(number)

    def answer(self, number: int, answer: Answer, *, server: str = "") -> Arrival:
        """Take the user's answer, and begin to fetch when it is yes.

        Parameters
        ----------
        number : the link.
        answer : what he said; ``always`` remembers the origin.
        server : which server to use, where the link names none.

        Raises
        ------
        LaunchError
            The link was answered already.
        """
        arrival = self.get(number)
        if arrival is None or arrival.question is None:
            raise LaunchError("This link was answered already.")
        asked = self._box.take(arrival.question.key, refused=answer == "refuse")
        with self._lock:
            self._asking.pop(arrival.question.key, None)
        if asked is None:
            raise LaunchError("This link was answered already.")
        if answer == "refuse":
            return self._keep(
                replace(arrival, stage="refused", question=None, message="Nothing was fetched.")
            )
        if isinstance(asked.decision, Ask) and answer == "always":
            self._trust.add(asked.decision.question.origin)
        for request in asked.requests:
            try:
                if isinstance(asked.decision, ChooseServer):
                    chosen = use_server(request, self._dock.profiles().get(server))
                    self._fetch(request, chosen, number)
                else:
                    self._consider(request, asked.decision, number)
            except DicomdockError as error:
                self._keep(Arrival(number, "failed", message=str(error)))
        arrival = self.get(number)
        assert arrival is not None
        return arrival

    def connect(self, name: str) -> Client | None:
        """Give the connection that a link brought, with the link's own token; None where none did."""
        with self._lock:
            known = self._connections.get(name)
        if known is None:
            return None
        return connect_link(*known, self._dock.settings)

    def _consider(self, request: LaunchRequest, agreed: Ask | None, number: int | None) -> str:
        decision = decide(
            request,
            self._dock.profiles(),
            self._trust,
            agreed=agreed.question if agreed is not None else None,
        )
        match decision:
            case Refused(reason):
                raise LaunchError(reason)
            case Ask() | ChooseServer():
                arrival = self._ask(self._box.put(decision, request), number)
                self._dock.show(arrival.page)
                return "dicomdock asks you whether to open it."
            case Allowed():
                arrival = self._fetch(request, decision, number)
                self._dock.show(arrival.page)
                return "dicomdock opens it."
            case _:
                assert_never(decision)

    def _ask(self, question: OpenQuestion, number: int | None) -> Arrival:
        with self._lock:
            number = self._asking.setdefault(question.key, number or next(self._numbers))
        return self._keep(Arrival(number, "asking", question))

    def _fetch(self, request: LaunchRequest, allowed: Allowed, number: int | None) -> Arrival:
        name = self._name(request, allowed)
        resources: Sequence[Resource] = request.resources
        if not resources:
            client = self.connect(name)
            assert client is not None
            try:
                resources = resources_of_link(request, client)
            finally:
                client.close()
        self._dock.pull(name, resources)
        studies = tuple(dict.fromkeys(resource.study for resource in resources))
        return self._keep(Arrival(number or next(self._numbers), "fetching", studies=studies))

    def _name(self, request: LaunchRequest, allowed: Allowed) -> str:
        """Name the connection; a name of its own for each token, and never that of a server of the user's."""
        plain = allowed.profile.name
        taken = set(self._dock.source_names())
        with self._lock:
            if plain in taken and allowed.stored_login and request.options.bulk_retrieve:
                return plain
            for name in (f"{plain} (link {count})" if count else plain for count in itertools.count()):
                known = self._connections.get(name)
                if name not in taken and (known is None or known == (request, allowed)):
                    self._connections[name] = (request, allowed)
                    return name
        raise AssertionError("unreachable: names do not run out")

    def _keep(self, arrival: Arrival) -> Arrival:
        with self._lock:
            self._arrivals[arrival.number] = arrival
            while len(self._arrivals) > MOST_KEPT:
                del self._arrivals[next(iter(self._arrivals))]
        self._dock.events.publish(LinkArrived(arrival.number))
        return arrival
