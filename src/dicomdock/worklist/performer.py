"""A performer of procedure steps: who claims them, has their keys, and ends them.

The Transaction UID of a claim is written to a private file before it is sent: a program that dies between has
it at the next start, and the step is not lost to everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dicomdock.config.toml_file import Table, TomlFile
from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.uid import new_uid
from dicomdock.errors import DicomdockError, InvalidInput, TransactionError
from dicomdock.worklist.lists import WorkList
from dicomdock.worklist.performed import performed
from dicomdock.worklist.refusals import StepRefused
from dicomdock.worklist.requirements import State, missing_for

FILE: Final = "worklist-claims.toml"
_HEADING: Final = "# The keys to steps of work lists that were claimed here. Keep them to yourself.\n"
_DISCONTINUED: Final[DicomJson] = {
    "00080100": {"vr": "SH", "Value": ["110513"]},
    "00080102": {"vr": "SH", "Value": ["DCM"]},
    "00080104": {"vr": "LO", "Value": ["Discontinued for unspecified reason"]},
}
_REFUSED = frozenset({400, 404, 409, 410})


class NotClaimed(DicomdockError):
    """The step was not claimed by this user."""

    http_status = 409


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Performer:
    """Claims, completes and cancels steps of one work list for this user.

    Parameters
    ----------
    work_list : that the steps are on.
    folder : where the keys of claims are stored, readable by this user alone.
    now : returns the time, with its time zone.
    """

    def __init__(self, work_list: WorkList, folder: Path, now: Callable[[], datetime] = _utc_now) -> None:
        self._list = work_list
        self._file = TomlFile(folder / FILE)
        self._now = now

    @property
    def claims(self) -> Sequence[str]:
        """The UIDs of the steps that are claimed here and not ended yet."""
        return list(self._claims(self._file.read()))

    def claim(self, uid: str) -> Sequence[str]:
        """Claim a step; what the work list remarks on it.

        A step that this user has claimed already stays claimed, also where the first answer never came.

        Raises
        ------
        StepRefused, TransactionError
            Somebody else has it, or it is ended.
        """
        earlier = self._claims(self._file.read()).get(uid)
        key = str(earlier["transaction_uid"]) if earlier else new_uid()
        if earlier is None:
            self._change(uid, {"transaction_uid": key, "claimed": self._moment()})
        try:
            return self._list.change_state(uid, State.IN_PROGRESS, key)
        except DicomdockError as error:
            if not _is_refusal(error):
                raise
            if earlier is not None and self._is_ours(uid, key):
                return ()
            self._change(uid, None)
            raise

    def complete(self, uid: str, *, comment: str = "") -> None:
        """Complete a step: fill in what its final state requires and is missing, and change its state.

        Parameters
        ----------
        uid : of the step.
        comment : what was done, in words.

        Raises
        ------
        NotClaimed
        StepRefused, TransactionError
            The work list does not permit it.
        """
        claim = self._claimed(uid)
        step = self._list.retrieve(uid)
        if missing_for(step, State.COMPLETED) and text(step, "ProcedureStepState") == State.IN_PROGRESS:
            done = performed(step, begun=str(claim["claimed"]), ended=self._moment(), comment=comment)
            self._list.update(uid, done, str(claim["transaction_uid"]))
        self._list.change_state(uid, State.COMPLETED, str(claim["transaction_uid"]))
        self._change(uid, None)

    def cancel(self, uid: str, *, reason: str = "") -> bool:
        """Cancel a step that is claimed here, or request it of one that is not; whether it is canceled.

        Raises
        ------
        StepRefused, TransactionError
            The work list does not permit it.
        """
        given: DicomJson = {"00741238": {"vr": "LT", "Value": [reason]}} if reason else {}
        claim = self._claims(self._file.read()).get(uid)
        if claim is None:
            self._list.request_cancellation(uid, given)
            return text(self._list.retrieve(uid), "ProcedureStepState") == State.CANCELED
        key = str(claim["transaction_uid"])
        if text(self._list.retrieve(uid), "ProcedureStepState") == State.IN_PROGRESS:
            progress: DicomJson = {
                **given,
                "00404052": {"vr": "DT", "Value": [self._moment()]},
                "0074100E": {"vr": "SQ", "Value": [dict(_DISCONTINUED)]},
            }
            self._list.update(uid, {"00741002": {"vr": "SQ", "Value": [dict(progress)]}}, key)
        self._list.change_state(uid, State.CANCELED, key)
        self._change(uid, None)
        return True

    def _is_ours(self, uid: str, key: str) -> bool:
        """Return whether the work list takes this key for the step's."""
        try:
            self._list.update(uid, {}, key)
        except DicomdockError as error:
            if _is_refusal(error):
                return False
            raise
        return True

    def _claimed(self, uid: str) -> Table:
        claim = self._claims(self._file.read()).get(uid)
        if claim is None:
            raise NotClaimed(f"Procedure step {uid} of {self._list.name} was not claimed here.")
        return claim

    def _claims(self, table: Table) -> dict[str, Table]:
        return dict(table.get(self._list.name, {}))

    def _change(self, uid: str, claim: Table | None) -> None:
        def edit(table: Table) -> Table:
            claims = {known: one for known, one in self._claims(table).items() if known != uid}
            if claim is not None:
                claims[uid] = claim
            return {**table, self._list.name: claims}

        try:
            self._file.change(edit, heading=_HEADING)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{self._file.path} cannot be changed: {error}.") from error

    def _moment(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")


def _is_refusal(error: DicomdockError) -> bool:
    """Return whether the work list decided; otherwise nobody knows what became of the request."""
    if isinstance(error, TransactionError):
        return error.status in _REFUSED
    return isinstance(error, StepRefused) or error.http_status in _REFUSED
