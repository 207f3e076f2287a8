"""Store procedure steps in the archive's index: SQLite or PostgreSQL.

Each change reads the step, decides and writes within one transaction, of which both databases let in one at
a time; so of many who claim a step at once one has it. What a process that dies had not committed did not
happen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.schema import Column, Table
from dicomdock.dicom.json_model import DicomJson
from dicomdock.errors import DicomdockError, NotFound
from dicomdock.worklist import procedure_step
from dicomdock.worklist.procedure_step import Outcome, ProcedureStep, State

steps = Table(
    "procedure_step",
    (Column("uid"), Column("state"), Column("lock"), Column("attributes")),
    key=("uid",),
    indexes={"procedure_step_by_state": ("state",)},
)


class StepExists(DicomdockError):
    """There is a procedure step with this UID already (status code 0111)."""

    http_status = 409


class ProcedureSteps:
    """The procedure steps of an archive.

    Parameters
    ----------
    index : of the archive; the table is created where it has none.
    now : returns the time of a change.
    """

    def __init__(self, index: Index, now: Callable[[], datetime] = datetime.now) -> None:
        self._index = index
        self._now = now
        with index.reading() as connection:
            present = connection.has_table(steps.name)
        if not present:
            with index.writing() as connection:
                if not connection.has_table(steps.name):  # another process was faster
                    for statement in steps.create(connection.dialect):
                        connection.execute(statement)

    def create(self, uid: str, attributes: DicomJson) -> ProcedureStep:
        """Store a new step, SCHEDULED.

        Raises
        ------
        StepExists
            There is one with this UID.
        InvalidInput
            The attributes are not those of a new step.
        """
        step = procedure_step.create(uid, attributes, self._moment())
        with self._index.writing() as connection:
            if _find(connection, step.uid) is not None:
                raise StepExists("There is a procedure step with this UID already.")
            connection.insert(steps, [steps.values(_row(step))])
        return step

    def retrieve(self, uid: str) -> ProcedureStep:
        """Return a step.

        Raises
        ------
        NotFound
            There is none with this UID.
        """
        with self._index.reading() as connection:
            return _found(connection, uid)

    def change_state(self, uid: str, state: State, transaction_uid: str) -> Outcome:
        """Change the state of a step; see ``procedure_step.change_state``.

        Raises
        ------
        NotFound, StepRefused, InvalidInput
        """
        return self._change(
            uid, lambda step: procedure_step.change_state(step, state, transaction_uid, self._moment())
        )

    def request_cancellation(self, uid: str) -> Outcome:
        """Cancel a step that nobody has claimed; see ``procedure_step.request_cancellation``.

        Raises
        ------
        NotFound, StepRefused
        """
        return self._change(uid, lambda step: procedure_step.request_cancellation(step, self._moment()))

    def update(self, uid: str, attributes: DicomJson, transaction_uid: str = "") -> ProcedureStep:
        """Replace attributes of a step; see ``procedure_step.update``.

        Raises
        ------
        NotFound, StepRefused, InvalidInput
        """
        return self._change(
            uid,
            lambda step: Outcome(procedure_step.update(step, attributes, transaction_uid, self._moment())),
        ).step

    def _change(self, uid: str, change: Callable[[ProcedureStep], Outcome]) -> Outcome:
        with self._index.writing() as connection:
            outcome = change(_found(connection, uid))
            row = _row(outcome.step)
            connection.execute(
                'UPDATE procedure_step SET "state" = ?, "lock" = ?, "attributes" = ? WHERE "uid" = ?',
                row["state"],
                row["lock"],
                row["attributes"],
                row["uid"],
            )
        return outcome

    def _moment(self) -> str:
        return self._now().strftime("%Y%m%d%H%M%S.%f")


def _row(step: ProcedureStep) -> dict[str, str]:
    attributes = json.dumps(step.attributes, ensure_ascii=False, separators=(",", ":"))
    return {"uid": step.uid, "state": step.state.value, "lock": step.lock, "attributes": attributes}


def _find(connection: Connection, uid: str) -> ProcedureStep | None:
    row = connection.first('SELECT "uid", "lock", "attributes" FROM procedure_step WHERE "uid" = ?', uid)
    return ProcedureStep(row[0], json.loads(row[2]), row[1]) if row else None


def _found(connection: Connection, uid: str) -> ProcedureStep:
    step = _find(connection, uid)
    if step is None:
        raise NotFound("There is no procedure step with this UID.")
    return step
