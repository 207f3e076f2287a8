"""Commit what many writers have ready at the same moment together, so that they share its syncs.

Writers that come while a commit goes on wait for it, and the next commit takes all of them: the first of them
does it. Each learns what became of its own instances once they are durable, and is woken only then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dicomdock.archive.pending import AddStatus, PendingInstance
from dicomdock.archive.storage.sessions import Session
from dicomdock.dicom.resource import Resource

Late = list[tuple[PendingInstance, AddStatus]]
Commit = Callable[[Sequence[PendingInstance], Sequence[Path]], Late]

MOST = 256  # instances in one commit


@dataclass(eq=False, slots=True)
class _Ticket:
    """What one writer waits for."""

    pending: Sequence[PendingInstance]
    note: Path
    turn: threading.Event = field(default_factory=threading.Event)  # done, or to commit for all who wait
    done: bool = False
    late: Late = field(default_factory=list)
    error: BaseException | None = None


@dataclass(eq=False, slots=True)
class _SharedSession:
    session: Session
    users: int = 0


class GroupCommit:
    """Commits instances of several writers together.

    Parameters
    ----------
    new_session : makes one.
    commit : commits instances that were prepared with these notes, and returns those that another process had
        stored meanwhile.
    """

    def __init__(self, new_session: Callable[[], Session], commit: Commit) -> None:
        self._new_session, self._commit = new_session, commit
        self._lock = threading.Lock()  # for the next three
        self._waiting: list[_Ticket] = []
        self._busy = False  # a writer commits, or has been asked to
        self._shared: _SharedSession | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Return the session that all writers share, also one after the other; ``close`` removes it."""
        with self._lock:
            shared = self._shared
            if shared is not None and not shared.users and not shared.session.folder.exists():
                shared = None  # somebody has tidied up
            self._shared = shared = shared or _SharedSession(self._new_session())
            shared.users += 1
        try:
            yield shared.session
        finally:
            with self._lock:
                shared.users -= 1
                over = not shared.users and self._shared is not shared
            if over:
                shared.session.close()

    def close(self) -> None:
        """Remove the session, now or when the last writer leaves it."""
        with self._lock:
            shared, self._shared = self._shared, None
            over = shared is not None and not shared.users
        if shared is not None and over:
            shared.session.close()

    def commit(self, session: Session, pending: Sequence[PendingInstance], note: Path) -> Late:
        """Commit instances, together with those of others, and wait until they are durable.

        Parameters
        ----------
        note : with which they were prepared.

        Returns
        -------
        Those that another process or writer had stored meanwhile, with the status that results.
        """
        ticket = _Ticket(pending, note)
        with self._lock:
            self._waiting.append(ticket)
            first, self._busy = not self._busy, True
        if not first:
            ticket.turn.wait()
        if not ticket.done:
            tickets = self._next()
            try:
                self._commit_all(session, tickets)
            finally:
                self._wake(tickets)
        if ticket.error is not None:
            raise ticket.error
        return ticket.late

    def _wake(self, done: Sequence[_Ticket]) -> None:
        """Wake whoever commits next, then those whose instances are durable."""
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._busy = following is not None
        if following is not None:
            following.turn.set()
        for ticket in done:
            ticket.turn.set()

    def _next(self) -> list[_Ticket]:
        """Take those whose instances can be committed together: no instance comes twice."""
        chosen: list[_Ticket] = []
        seen: set[Resource] = set()
        with self._lock:
            for ticket in self._waiting:
                own = {item.resource for item in ticket.pending}
                if chosen and (seen & own or len(seen) + len(own) > MOST):
                    break  # those behind it wait too, so that whoever came first is first
                chosen.append(ticket)
                seen |= own
            del self._waiting[: len(chosen)]
        return chosen

    def _commit_all(self, session: Session, tickets: Sequence[_Ticket]) -> None:
        try:
            pending = [item for ticket in tickets for item in ticket.pending]
            late = self._commit(pending, [ticket.note for ticket in tickets])
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits for it
            with self._lock:
                self._forget(session)  # its note is for the next one who opens the archive
            if len(tickets) > 1 and all(item.temporary.exists() for one in tickets for item in one.pending):
                for ticket in tickets:  # nothing was moved yet, and not all of them need be at fault
                    self._commit_all(session, [ticket])
                return
            for ticket in tickets:
                ticket.error, ticket.done = error, True
            return
        for ticket in tickets:
            own = {item.resource for item in ticket.pending}
            ticket.late = [one for one in late if one[0].resource in own]
            ticket.done = True

    def _forget(self, session: Session) -> None:
        """Let the next writer begin a new session; the lock is held."""
        if self._shared is not None and self._shared.session is session:
            self._shared = None
