"""Subscribe to procedure steps, and read the reports that wait.

References
----------
PS3.4 CC.2.3; PS3.18 §11.10 to §11.12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.dicom.query import Query
from dicomdock.errors import InvalidInput, NotFound
from dicomdock.worklist import subscriptions
from dicomdock.worklist.database import WorklistDatabase
from dicomdock.worklist.events import state_report
from dicomdock.worklist.procedure_step import ProcedureStep
from dicomdock.worklist.store import PAGE, found
from dicomdock.worklist.subscriptions import FILTERED, GLOBAL, Waiting, check_ae_title


class Subscribers:
    """The subscribers of a work list.

    Parameters
    ----------
    database : of the work list; its tables are created where it has none.

    Raises
    ------
    ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
    """

    def __init__(self, database: Index) -> None:
        self._database = WorklistDatabase(database)

    def subscribe(self, title: str, uid: str, *, lock: bool = False) -> None:
        """Subscribe an AE title to a step, or to all steps; its first reports are of their present states.

        Parameters
        ----------
        title : AE title.
        uid : of the step, or ``GLOBAL``.
        lock : nothing is to be deleted before the subscription ends. Nothing ever is; but a global
            subscription with it is sent the state of every step.

        Raises
        ------
        NotFound
            There is no such step.
        InvalidInput
            It is not an AE title.
        TooManySubscribers
        """
        title = check_ae_title(title)
        with self._database.writing() as connection:
            if uid == GLOBAL:
                fresh = subscriptions.not_subscribed(connection, title) if lock else []
                subscriptions.subscribe_globally(connection, title)
                steps = (found(connection, one) for one in fresh)
                subscriptions.put(connection, [title], [state_report(step, step.state) for step in steps])
            else:
                step = found(connection, uid)
                subscriptions.subscribe(connection, title, uid)
                subscriptions.put(connection, [title], [state_report(step, step.state)])

    def subscribe_filtered(self, title: str, keys: Query, *, lock: bool = False) -> None:
        """Subscribe an AE title to the steps that match, those to come as well.

        An AE title has one such subscription: a later one, or the one to all steps, replaces it.

        Parameters
        ----------
        title : AE title.
        keys : what the steps match; the level and the order are not looked at.
        lock : the state of every step that matches is sent; see ``subscribe``.

        Raises
        ------
        InvalidInput
            It is not an AE title, or the keys are none, unknown, or not of their VR.
        TooManySubscribers

        References
        ----------
        PS3.18 §11.10.1.2.2; PS3.4 CC.2.3.1 (Match Keys).
        """
        title = check_ae_title(title)
        if not any(keys.match.values()):
            raise InvalidInput("A filter names at least one attribute and its value.")
        keys.criteria  # noqa: B018 - refused before anything is written
        with self._database.writing() as connection:
            fresh = list(_matching(connection, title, keys))
            subscriptions.subscribe_filtered(connection, title, keys, [step.uid for step in fresh])
            if lock:
                events = [state_report(step, step.state) for step in fresh[-subscriptions.MAX_WAITING :]]
                subscriptions.put(connection, [title], events)

    def unsubscribe(self, title: str, uid: str) -> None:
        """End the subscription to a step; with ``GLOBAL`` or ``FILTERED`` all subscriptions of an AE title.

        Raises
        ------
        NotFound
            There is no such step.
        """
        title = check_ae_title(title)
        with self._database.writing() as connection:
            if uid not in (GLOBAL, FILTERED):
                found(connection, uid)
            subscriptions.unsubscribe(connection, title, uid)

    def suspend(self, title: str) -> None:
        """End the subscription to steps to come; that to those that are there stays.

        Raises
        ------
        NotFound
            The AE title is not subscribed to all steps.
        """
        with self._database.writing() as connection:
            if not subscriptions.suspend(connection, check_ae_title(title)):
                raise NotFound("This AE title is not subscribed to the work list.")

    def begin(self, title: str) -> int:
        """Return the number after which a new connection of a subscriber reads."""
        with self._database.reading() as connection:
            return subscriptions.begin(connection, title)

    def waiting(self, title: str, after: int, limit: int) -> Sequence[Waiting]:
        """Return the first reports for a subscriber after a number."""
        with self._database.reading() as connection:
            return subscriptions.waiting(connection, title, after, limit)

    def mark_sent(self, title: str, number: int) -> None:
        """Note that a subscriber was sent all reports up to a number."""
        with self._database.writing() as connection:
            subscriptions.mark_sent(connection, title, number)


def _matching(connection: Connection, title: str, keys: Query) -> Iterator[ProcedureStep]:
    """Yield the present steps that match and that an AE title is not subscribed to."""
    after = ""
    while uids := subscriptions.not_subscribed(connection, title, after=after, limit=PAGE):
        steps = (found(connection, uid) for uid in uids)
        yield from (step for step in steps if keys.matches(step.attributes))
        after = uids[-1]
