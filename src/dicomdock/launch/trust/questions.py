"""QuestionBox: a flood of links makes one question."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dicomdock.errors import LaunchError
from dicomdock.launch.link.request import LaunchRequest
from dicomdock.launch.trust.decision import Ask, ChooseServer

MOST_QUESTIONS = 8  # open at once; they are shown one after the other
MOST_REQUESTS = 20  # links that one answer decides about
QUIET = 60.0  # seconds that a refused origin is not asked about again


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that waits for its answer.

    Parameters
    ----------
    key : what it is about: an origin, or the page's for a server to choose.
    decision : what to ask; it counts the studies and holds the warnings of all the links.
    requests : the links that wait for it, each once, the oldest first.
    """

    key: str
    decision: Ask | ChooseServer
    requests: tuple[LaunchRequest, ...]


class JustRefused(LaunchError):
    """The user refused this origin less than a minute ago.

    Parameters
    ----------
    message : says so.
    key : of the question that was refused.
    """

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class QuestionBox:
    """The open questions of a dock: at most one for each origin, a bounded number in all, in memory only.

    Safe to use from several threads.

    Parameters
    ----------
    clock : seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, OpenQuestion] = {}
        self._quiet: dict[str, float] = {}

    def put(self, decision: Ask | ChooseServer, request: LaunchRequest) -> OpenQuestion:
        """Ask about a link, or let it join the question that is open about the same origin.

        Raises
        ------
        JustRefused
            The user has just refused this origin.
        LaunchError
            Too much waits already.
        """
        key = decision.question.origin if isinstance(decision, Ask) else f"choose {decision.site}"
        with self._lock:
            now = self._clock()
            self._quiet = {origin: end for origin, end in self._quiet.items() if end > now}
            if key in self._quiet:
                raise JustRefused(
                    "You have just refused links to this server; for a minute you are not asked again.", key
                )
            open_one = self._open.get(key)
            if open_one is None and len(self._open) >= MOST_QUESTIONS:
                raise LaunchError("Too many links wait for your answer; answer those first.")
            before = () if open_one is None else open_one.requests
            # The same study again: the newest link counts, its token lasts longest.
            others = tuple(other for other in before if _aim(other) != _aim(request))
            if len(others) >= MOST_REQUESTS:
                raise LaunchError("Too many links to this server wait for your answer; answer first.")
            requests = (*others, request)
            earlier = None if open_one is None else open_one.decision
            self._open[key] = OpenQuestion(key, _together(earlier, decision, requests), requests)
            return self._open[key]

    def ask_again(self, refused: OpenQuestion) -> OpenQuestion:
        """Open a question that was refused once more, as the user wishes.

        Raises
        ------
        LaunchError
            Too much waits already.
        """
        with self._lock:
            self._quiet.pop(refused.key, None)
        return [self.put(refused.decision, request) for request in refused.requests][-1]

    def waiting(self) -> tuple[OpenQuestion, ...]:
        """Return the open questions, the oldest first."""
        with self._lock:
            return tuple(self._open.values())

    def take(self, key: str, *, refused: bool = False) -> OpenQuestion | None:
        """Close a question, because it was answered; None when it is answered already.

        Parameters
        ----------
        key : which.
        refused : leave this origin in peace for a minute.
        """
        with self._lock:
            if refused:
                self._quiet[key] = self._clock() + QUIET
            return self._open.pop(key, None)


def _together(
    earlier: Ask | ChooseServer | None, decision: Ask | ChooseServer, requests: tuple[LaunchRequest, ...]
) -> Ask | ChooseServer:
    """Make the question name all that one answer will decide about: every study, every warning."""
    if not (isinstance(decision, Ask) and isinstance(earlier, Ask)):
        return decision
    old, new = earlier.question, decision.question
    counts = [len(request.resources) for request in requests]
    return Ask(
        replace(
            new,
            resources=sum(counts) if all(counts) else 0,
            warnings=tuple(dict.fromkeys((*old.warnings, *new.warnings))),
            private=tuple(dict.fromkeys((*old.private, *new.private))),
        )
    )


def _aim(request: LaunchRequest) -> LaunchRequest:
    return replace(request, token=None) if request.resources else request
