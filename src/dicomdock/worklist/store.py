"""Store procedure steps: in SQLite or PostgreSQL, in a database that no rebuild of the index touches.

Each change reads the step, decides and writes within one transaction, of which both databases let in one at
a time; so of many who claim a step at once one has it. What a process that dies had not committed did not
happen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice

from dicomdock.archive.index.connection import Connection, Row
from dicomdock.archive.index.engine import Index
from dicomdock.dicom.criteria import OneOf
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.query import Query
from dicomdock.dicom.uid import new_uid
from dicomdock.errors import DicomdockError, NotFound
from dicomdock.worklist import procedure_step, subscriptions
from dicomdock.worklist.database import WorklistDatabase
from dicomdock.worklist.events import changes, state_report
from dicomdock.worklist.procedure_step import Outcome, ProcedureStep
from dicomdock.worklist.requirements import State
from dicomdock.worklist.schema import claims, replacements, steps

MAX_STEP = 2 << 20  # characters of a step; one that names 10,000 instances has about as many
PAGE = 32  # steps that a search reads at once
_ABANDONED = 'SELECT "uid" FROM procedure_step_claim WHERE "heard" < ? ORDER BY "heard" LIMIT ?'


def _utc_now() -> datetime:
    return datetime.now(UTC)


class StepExists(DicomdockError):
    """There is a procedure step with this UID already (status code 0111)."""

    http_status = 409


class StepTooLarge(DicomdockError):
    """A procedure step, or a request about it, is larger than is accepted."""

    http_status = 413


class StepChanges:
    """One transaction that changes several steps, and rows of other tables of their database with them.

    Parameters
    ----------
    steps : the steps.
    connection : that the transaction is on.
    """

    def __init__(self, steps: ProcedureSteps, connection: Connection) -> None:
        self._steps = steps
        self.connection = connection

    def create(self, attributes: DicomJson) -> str:
        """Store a new step, and return its UID; see ``procedure_step.create``."""
        step = procedure_step.create(new_uid(), attributes, self._steps.moment())
        _insert(self.connection, step)
        return step.uid

    def retrieve(self, uid: str) -> ProcedureStep:
        """Return a step.

        Raises
        ------
        NotFound
        """
        return found(self.connection, uid)

    def change(self, uid: str, change: Callable[[ProcedureStep, str], Outcome]) -> ProcedureStep:
        """Change a step for its performer, by a function of it and of the time, and return it.

        Raises
        ------
        NotFound, StepRefused, InvalidInput, StepTooLarge
        """
        moment = self._steps.moment()
        return self._steps.changed(self.connection, uid, lambda step, _: change(step, moment)).step

    def reschedule(self, uid: str, reason: str) -> str:
        """Cancel a step that is IN PROGRESS, schedule another in its stead, and return that one's UID."""
        return self._steps.reschedule(self.connection, found(self.connection, uid), reason)

    def cancel(self, uid: str) -> None:
        """Cancel a step that is not final, whoever has claimed it.

        Raises
        ------
        NotFound
        """
        moment = self._steps.moment()

        def canceled(step: ProcedureStep, _: bool) -> Outcome:
            return procedure_step.withdraw(step, moment)

        self._steps.changed(self.connection, uid, canceled)


class ProcedureSteps:
    """The procedure steps of an archive.

    Parameters
    ----------
    database : of the work list; its tables are created where it has none.
    now : returns the time of a change, with its time zone.
    deadline : after which a claimed step whose performer is silent is canceled, and another one scheduled in
        its stead; None for never. An update by the performer is a sign of them.

    Raises
    ------
    ArchiveTooNew, ArchiveLocked, NoSpace, ArchiveError
    """

    def __init__(
        self,
        database: Index,
        now: Callable[[], datetime] = _utc_now,
        *,
        deadline: timedelta | None = None,
    ) -> None:
        self._database = WorklistDatabase(database)
        self._now = now
        self.deadline = deadline

    def create(self, uid: str, attributes: DicomJson) -> ProcedureStep:
        """Store a new step, SCHEDULED.

        Raises
        ------
        StepExists
            There is one with this UID.
        InvalidInput
            The attributes are not those of a new step.
        StepTooLarge
        """
        step = procedure_step.create(uid, attributes, self.moment())
        with self._database.writing() as connection:
            if _find(connection, step.uid) is not None:
                raise StepExists("There is a procedure step with this UID already.")
            _insert(connection, step)
        return step

    def retrieve(self, uid: str) -> ProcedureStep:
        """Return a step.

        Raises
        ------
        NotFound
            There is none with this UID.
        """
        self.reschedule_abandoned()
        with self._database.reading() as connection:
            return found(connection, uid)

    def search(self, query: Query) -> Iterator[ProcedureStep]:
        """Return the steps that match, by UID; a few are read at once.

        Parameters
        ----------
        query : of which the level and the order are not looked at.

        Raises
        ------
        InvalidInput
            A key is unknown, or its value cannot be one of its VR.
        """
        self.reschedule_abandoned()
        end = None if query.limit is None else query.offset + query.limit
        matches = (step for step in self._each(query) if query.matches(step.attributes))
        return islice(matches, query.offset, end)

    def change_state(self, uid: str, state: State, transaction_uid: str) -> Outcome:
        """Change the state of a step; see ``procedure_step.change_state``.

        Raises
        ------
        NotFound, StepRefused, InvalidInput
        """
        return self._change(
            uid, lambda step, _: procedure_step.change_state(step, state, transaction_uid, self.moment())
        )

    def request_cancellation(self, uid: str, attributes: DicomJson | None = None) -> Outcome:
        """Cancel a step that nobody has claimed, or notify who watches it.

        See ``procedure_step.request_cancellation``.

        Raises
        ------
        NotFound, StepRefused, StepTooLarge
        """
        return self._change(
            uid,
            lambda step, watched: procedure_step.request_cancellation(
                step, self.moment(), attributes, watched=watched
            ),
            by_performer=False,
        )

    def update(self, uid: str, attributes: DicomJson, transaction_uid: str = "") -> ProcedureStep:
        """Replace attributes of a step; see ``procedure_step.update``.

        Raises
        ------
        NotFound, StepRefused, InvalidInput, StepTooLarge
        """
        return self._change(
            uid,
            lambda step, _: Outcome(procedure_step.update(step, attributes, transaction_uid, self.moment())),
        ).step

    def reschedule_abandoned(self) -> None:
        """Cancel the steps whose performers are silent too long, and schedule others in their stead.

        Every other request about a step does this first.
        """
        if self.deadline is None:
            return
        limit = self._now().timestamp() - self.deadline.total_seconds()
        with self._database.reading() as connection:
            if connection.first(_ABANDONED, limit, 1) is None:
                return
        with self._database.writing() as connection:  # another may have done it meanwhile
            for uid in connection.column(_ABANDONED, limit, PAGE):
                silence = f"its performer was silent for {hours(self.deadline)}"
                self.reschedule(connection, found(connection, uid), silence)

    def reschedule(self, connection: Connection, step: ProcedureStep, why: str) -> str:
        """Cancel a step within a transaction, schedule another in its stead, and return that one's UID."""
        uid = new_uid()
        reason = f"{why}; the work goes on as procedure step {uid}."
        canceled, scheduled = procedure_step.reschedule(step, uid, reason, self.moment())
        _insert(connection, scheduled)
        self._write(connection, canceled)
        connection.insert(replacements, [replacements.values({"uid": step.uid, "replacement": uid})])
        watching = subscriptions.titles_of(connection, step.uid)
        _notify(connection, watching, step, Outcome(canceled, (State.CANCELED,)))
        return uid

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the steps, and of the tables beside them."""
        self.reschedule_abandoned()
        with self._database.reading() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[StepChanges]:
        """Return one transaction for several changes."""
        self.reschedule_abandoned()
        with self._database.writing() as connection:
            yield StepChanges(self, connection)

    def _change(
        self, uid: str, change: Callable[[ProcedureStep, bool], Outcome], *, by_performer: bool = True
    ) -> Outcome:
        self.reschedule_abandoned()
        with self._database.writing() as connection:
            return self.changed(connection, uid, change, by_performer=by_performer)

    def changed(
        self,
        connection: Connection,
        uid: str,
        change: Callable[[ProcedureStep, bool], Outcome],
        *,
        by_performer: bool = True,
    ) -> Outcome:
        """Change a step within a transaction, by a function of it and of whether anybody is subscribed to it.

        Raises
        ------
        NotFound, StepRefused, InvalidInput, StepTooLarge
        """
        before = found(connection, uid)
        watching = subscriptions.titles_of(connection, uid)
        outcome = change(before, bool(watching))
        self._write(connection, outcome.step, heard=by_performer)
        _notify(connection, watching, before, outcome)
        return outcome

    def _write(self, connection: Connection, step: ProcedureStep, *, heard: bool = False) -> None:
        """Write a step that is there, and whether its performer was just heard of."""
        row = _row(step)
        connection.execute(
            'UPDATE procedure_step SET "state" = ?, "lock" = ?, "attributes" = ? WHERE "uid" = ?',
            row["state"],
            row["lock"],
            row["attributes"],
            row["uid"],
        )
        in_progress = step.state is State.IN_PROGRESS
        if heard or not in_progress:
            connection.execute('DELETE FROM procedure_step_claim WHERE "uid" = ?', step.uid)
        if heard and in_progress:
            heard_at = self._now().timestamp()
            connection.insert(claims, [claims.values({"uid": step.uid, "heard": heard_at})])

    def _each(self, query: Query) -> Iterator[ProcedureStep]:
        asked = query.criteria.get("ProcedureStepState")
        one = asked.values[0] if isinstance(asked, OneOf) and len(asked.values) == 1 else None
        if one is not None and one not in tuple(State):
            return
        columns = 'SELECT "uid", "lock", "attributes" FROM procedure_step WHERE '
        after = ""
        while True:
            with self._database.reading() as connection:
                if one is None:
                    rows = connection.all(columns + '"uid" > ? ORDER BY "uid" LIMIT ?', after, PAGE)
                else:
                    narrowed = columns + '"state" = ? AND "uid" > ? ORDER BY "uid" LIMIT ?'
                    rows = connection.all(narrowed, one, after, PAGE)
            yield from map(_step, rows)
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    def moment(self) -> str:
        """Return the time as a DT value in UTC: several machines may use one work list."""
        return self._now().astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")


def hours(span: timedelta) -> str:
    """Return a span as people read it."""
    number = span / timedelta(hours=1)
    return f"{number:g} hour{'s' if number != 1 else ''}"


def _row(step: ProcedureStep) -> dict[str, str]:
    attributes = json.dumps(step.attributes, ensure_ascii=False, separators=(",", ":"))
    if len(attributes) > MAX_STEP:
        raise StepTooLarge(f"A procedure step has at most {MAX_STEP >> 20} MB.")
    return {"uid": step.uid, "state": step.state.value, "lock": step.lock, "attributes": attributes}


def _insert(connection: Connection, step: ProcedureStep) -> None:
    """Insert a new step, and notify who is subscribed to all steps."""
    connection.insert(steps, [steps.values(_row(step))])
    subscriptions.add_new(connection, step)
    watching = subscriptions.titles_of(connection, step.uid)
    subscriptions.put(connection, watching, list(changes(None, Outcome(step))))


def _notify(connection: Connection, watching: Sequence[str], before: ProcedureStep, outcome: Outcome) -> None:
    """Report a change to who is subscribed to a step, and the step to those whose filter it matches now."""
    if watching:
        subscriptions.put(connection, watching, list(changes(before, outcome)))
    after = outcome.step
    if after.attributes != before.attributes:
        joined = subscriptions.add_matching(connection, before, after)
        subscriptions.put(connection, joined, [state_report(after, after.state)])


def _step(row: Row) -> ProcedureStep:
    return ProcedureStep(row[0], json.loads(row[2]), row[1])


def _find(connection: Connection, uid: str) -> ProcedureStep | None:
    row = connection.first('SELECT "uid", "lock", "attributes" FROM procedure_step WHERE "uid" = ?', uid)
    return _step(row) if row else None


def found(connection: Connection, uid: str) -> ProcedureStep:
    """Return a step.

    Raises
    ------
    NotFound
        There is none with this UID.
    """
    step = _find(connection, uid)
    if step is None:
        raise NotFound("There is no procedure step with this UID.")
    return step
