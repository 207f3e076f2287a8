"""The Unified Procedure Step as a value, and what each request does to it.

Nothing is stored by these functions: each takes a step as it is and returns it as it becomes, or refuses. Who
stores it runs them in one transaction, so that of two who claim a step one is refused.

References
----------
PS3.3 C.30; PS3.4 Table CC.1.1-2 (state transitions), CC.2.1.4, CC.2.2.4, CC.2.6.4 (status codes).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace
from typing import Final

from dicomdock.dicom.charset import is_text
from dicomdock.dicom.json_model import DicomJson, items, text, values
from dicomdock.dicom.uid import check_uid
from dicomdock.errors import InvalidInput
from dicomdock.worklist.refusals import Reason, Remark, StepRefused
from dicomdock.worklist.requirements import State, check_new, check_update, missing_for

STATE: Final = "00741000"  # Procedure Step State
TRANSACTION_UID: Final = "00081195"
SOP_CLASS: Final = "1.2.840.10008.5.1.4.34.6.1"  # UPS Push, which every step has (PS3.4 CC.3.1)
_FIXED: Final = frozenset({"00080016", "00080018"})
_WORKLIST_LABEL: Final = "00741202"
DEFAULT_LABEL: Final = "dicomdock"  # of steps whose creator named no work list
_MODIFIED: Final = "00404010"  # Scheduled Procedure Step Modification DateTime
_PROGRESS: Final = "00741002"  # Procedure Step Progress Information Sequence
_CANCELED_AT: Final = "00404052"  # Procedure Step Cancellation DateTime
_DISCONTINUED: Final = "0074100E"  # Procedure Step Discontinuation Reason Code Sequence
_REASON: Final = "00741238"  # Reason For Cancellation
_PERFORMED: Final = "00741216"  # Unified Procedure Step Performed Procedure Sequence
_REPLACED: Final = "00741224"  # Replaced Procedure Step Sequence
_NOT_REPLACED: Final = frozenset({*_FIXED, _PROGRESS, _PERFORMED})
_RESCHEDULED: Final[DicomJson] = {
    "00080100": {"vr": "SH", "Value": ["110528"]},
    "00080102": {"vr": "SH", "Value": ["DCM"]},
    "00080104": {"vr": "LO", "Value": ["Discontinued Procedure Step rescheduled"]},
}
_UNSPECIFIED: Final[DicomJson] = {
    "00080100": {"vr": "SH", "Value": ["110513"]},
    "00080102": {"vr": "SH", "Value": ["DCM"]},
    "00080104": {"vr": "LO", "Value": ["Discontinued for unspecified reason"]},
}


@dataclass(frozen=True, slots=True)
class ProcedureStep:
    """A Unified Procedure Step.

    Parameters
    ----------
    uid : SOP Instance UID.
    attributes : in DICOM JSON, without the Transaction UID.
    lock : digest of the Transaction UID; empty before the step is claimed. The UID itself is stored nowhere.
    """

    uid: str
    attributes: DicomJson
    lock: str = field(default="", repr=False)

    @property
    def state(self) -> State:
        """Procedure Step State."""
        return State(text(self.attributes, "ProcedureStepState"))

    def is_opened_by(self, transaction_uid: str) -> bool:
        """Return whether this is the Transaction UID by which the step was claimed; in constant time."""
        return bool(self.lock) and hmac.compare_digest(self.lock, _digest(transaction_uid))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request made of a step.

    Parameters
    ----------
    step : as it is now.
    passed : the states that it went through, for who watches it; empty where it did not change.
    remark : a warning of the standard.
    cancel_requested : the attributes of a request to cancel it that its watchers are notified of.
    """

    step: ProcedureStep
    passed: tuple[State, ...] = ()
    remark: Remark | None = None
    cancel_requested: DicomJson | None = None


def create(uid: str, attributes: DicomJson, now: str) -> ProcedureStep:
    """Return a new step, SCHEDULED.

    Parameters
    ----------
    uid : SOP Instance UID.
    attributes : of the request.
    now : the time, in the form of a DT value.

    Raises
    ------
    InvalidInput
        The attributes are not those of a new step (PS3.4 Table CC.2.5-3, column N-CREATE).
    """
    check_new(attributes)
    if not is_text(json.dumps(attributes, ensure_ascii=False)):
        raise InvalidInput("A value of the procedure step is not text in the encoding of this system.")
    uid = check_uid(uid)
    if text(attributes, "SOPInstanceUID") not in ("", uid):
        raise InvalidInput("The SOP Instance UID of the procedure step is not the one that was given.")
    own: DicomJson = {
        "00080016": {"vr": "UI", "Value": [SOP_CLASS]},
        "00080018": {"vr": "UI", "Value": [uid]},
        _MODIFIED: {"vr": "DT", "Value": [now]},
    }
    label = text(attributes, "WorklistLabel") or DEFAULT_LABEL
    labelled: DicomJson = {_WORKLIST_LABEL: {"vr": "LO", "Value": [label]}}
    return ProcedureStep(uid, {**_without_lock(attributes), **own, **labelled})


def change_state(step: ProcedureStep, state: State, transaction_uid: str, now: str) -> Outcome:
    """Change the state of a step by request of who claims or has claimed it.

    Parameters
    ----------
    step : as it is.
    state : the one asked for.
    transaction_uid : to claim a SCHEDULED step, one that the claimant has made; later the same.
    now : the time, in the form of a DT value; that of the cancellation where the step has none.

    Raises
    ------
    StepRefused
        The state of the step, the Transaction UID or the final state requirements do not permit it.
    InvalidInput
        The Transaction UID of a claim is not a UID.
    """
    if state is State.SCHEDULED:
        raise StepRefused(Reason.SCHEDULED_BY_CREATION_ONLY)
    if not transaction_uid:
        raise StepRefused(Reason.WRONG_TRANSACTION_UID)
    if step.state is State.SCHEDULED:
        if state.is_final:
            raise StepRefused(Reason.NOT_IN_PROGRESS)
        claimed = replace(_in_state(step, state), lock=_digest(_claim_uid(transaction_uid)))
        return Outcome(claimed, (state,))
    if not step.is_opened_by(transaction_uid):
        raise StepRefused(Reason.WRONG_TRANSACTION_UID)
    if step.state.is_final:
        if state is not step.state:
            raise StepRefused(Reason.NO_LONGER_UPDATABLE, why=_why_canceled(step))
        completed = state is State.COMPLETED
        return Outcome(step, remark=Remark.ALREADY_COMPLETED if completed else Remark.ALREADY_CANCELED)
    if state is State.IN_PROGRESS:
        raise StepRefused(Reason.ALREADY_IN_PROGRESS)
    if state is State.CANCELED:
        step = _with_progress(step, {_CANCELED_AT: {"vr": "DT", "Value": [now]}})
    if missing := missing_for(step.attributes, state):
        raise StepRefused(Reason.FINAL_STATE_REQUIREMENTS, missing)
    return Outcome(_in_state(step, state), (state,))


def request_cancellation(
    step: ProcedureStep, now: str, attributes: DicomJson | None = None, *, watched: bool = False
) -> Outcome:
    """Cancel a step by request of who has not claimed it.

    A SCHEDULED step is canceled, by way of IN PROGRESS. One that is IN PROGRESS stays so: those who watch it
    are notified, its performer among them perhaps, who decides. Where nobody does, the request is refused.

    Parameters
    ----------
    step : as it is.
    now : the time, in the form of a DT value.
    attributes : of the request; the Reason For Cancellation and the Procedure Step Discontinuation Reason
        Code Sequence become those of the step.
    watched : somebody is subscribed to the step.

    Raises
    ------
    StepRefused
        The step is IN PROGRESS and not watched, or COMPLETED, or lacks what each final state requires.
    """
    if step.state is State.COMPLETED:
        raise StepRefused(Reason.ALREADY_COMPLETED)
    if step.state is State.CANCELED:
        return Outcome(step, remark=Remark.ALREADY_CANCELED)
    if step.state is State.IN_PROGRESS:
        if not watched:
            raise StepRefused(Reason.NOBODY_TO_NOTIFY)
        return Outcome(step, cancel_requested=attributes or {})
    asked = {tag: (attributes or {}).get(tag) for tag in (_DISCONTINUED, _REASON)}
    step = _with_progress(step, {tag: attribute for tag, attribute in asked.items() if attribute})
    canceled = _with_progress(
        step,
        {
            _CANCELED_AT: {"vr": "DT", "Value": [now]},
            _DISCONTINUED: {"vr": "SQ", "Value": [dict(_UNSPECIFIED)]},
        },
    )
    if missing := missing_for(canceled.attributes, State.CANCELED):
        raise StepRefused(Reason.FINAL_STATE_REQUIREMENTS, missing)
    passed = (State.IN_PROGRESS, State.CANCELED)
    return Outcome(_in_state(canceled, State.CANCELED), passed, cancel_requested=attributes or {})


def update(step: ProcedureStep, attributes: DicomJson, transaction_uid: str, now: str) -> ProcedureStep:
    """Return the step with attributes replaced.

    Parameters
    ----------
    step : as it is.
    attributes : those that change, each whole.
    transaction_uid : of who has claimed the step; empty while it is SCHEDULED.
    now : the time, in the form of a DT value.

    Raises
    ------
    StepRefused
        The step is final, or claimed with another Transaction UID.
    InvalidInput
        They are not what an update may change (PS3.4 Table CC.2.5-3, column N-SET).
    """
    if step.state.is_final:
        raise StepRefused(Reason.NO_LONGER_UPDATABLE, why=_why_canceled(step))
    if step.state is State.IN_PROGRESS and not step.is_opened_by(transaction_uid):
        raise StepRefused(Reason.WRONG_TRANSACTION_UID)
    if step.state is State.SCHEDULED and transaction_uid:
        raise StepRefused(Reason.WRONG_TRANSACTION_UID)
    check_update(attributes, step.attributes)
    attributes = {tag: value for tag, value in attributes.items() if tag not in _FIXED}
    modified: DicomJson = {_MODIFIED: {"vr": "DT", "Value": [now]}}
    return replace(step, attributes={**step.attributes, **_without_lock(attributes), **modified})


def reschedule(step: ProcedureStep, uid: str, reason: str, now: str) -> tuple[ProcedureStep, ProcedureStep]:
    """Return a step that its performer has abandoned, CANCELED, and the new one that replaces it, SCHEDULED.

    A step never becomes SCHEDULED again: the standard has another one scheduled, which names it. The new step
    has what was scheduled, and nothing of the progress and the results.

    Parameters
    ----------
    step : IN PROGRESS.
    uid : of the new step.
    reason : the Reason For Cancellation.
    now : the time, in the form of a DT value.

    References
    ----------
    PS3.4 Table CC.1.1-1, CC.2.1.3 (a performer that has been disabled); PS3.3 C.30.4 (Replaced Procedure Step
    Sequence).
    """
    because: DicomJson = {
        _CANCELED_AT: {"vr": "DT", "Value": [now]},
        _DISCONTINUED: {"vr": "SQ", "Value": [dict(_RESCHEDULED)]},
        _REASON: {"vr": "LT", "Value": [reason]},
    }
    first, *others = items(step.attributes, "ProcedureStepProgressInformationSequence") or [{}]
    progress: DicomJson = {
        _PROGRESS: {"vr": "SQ", "Value": [{**first, **because}, *(dict(item) for item in others)]}
    }
    canceled = _in_state(replace(step, attributes={**step.attributes, **progress}), State.CANCELED)
    replaced: DicomJson = {
        "00081150": {"vr": "UI", "Value": [SOP_CLASS]},
        "00081155": {"vr": "UI", "Value": [step.uid]},
    }
    scheduled: DicomJson = {
        **{tag: attribute for tag, attribute in step.attributes.items() if tag not in _NOT_REPLACED},
        STATE: {"vr": "CS", "Value": [State.SCHEDULED.value]},
        _REPLACED: {"vr": "SQ", "Value": [dict(replaced)]},
    }
    return canceled, create(uid, scheduled, now)


def conclude(step: ProcedureStep, attributes: DicomJson, now: str) -> Outcome:
    """Complete a step for its performer, by a program that need not know the Transaction UID of the claim.

    Parameters
    ----------
    step : IN PROGRESS.
    attributes : those that change, each whole.
    now : the time, in the form of a DT value.

    Raises
    ------
    StepRefused
        The step is not IN PROGRESS, or lacks what its final state requires.
    """
    if step.state is State.SCHEDULED:
        raise StepRefused(Reason.NOT_IN_PROGRESS)
    if step.state.is_final:
        raise StepRefused(Reason.NO_LONGER_UPDATABLE, why=_why_canceled(step))
    modified: DicomJson = {_MODIFIED: {"vr": "DT", "Value": [now]}}
    step = replace(step, attributes={**step.attributes, **_without_lock(attributes), **modified})
    if missing := missing_for(step.attributes, State.COMPLETED):
        raise StepRefused(Reason.FINAL_STATE_REQUIREMENTS, missing)
    return Outcome(_in_state(step, State.COMPLETED), (State.COMPLETED,))


def withdraw(step: ProcedureStep, now: str) -> Outcome:
    """Cancel a step because the work is no longer wanted, whoever has claimed it; a final one stays.

    Parameters
    ----------
    step : as it is.
    now : the time, in the form of a DT value.
    """
    if step.state.is_final:
        return Outcome(step)
    canceled = _with_progress(
        step,
        {
            _CANCELED_AT: {"vr": "DT", "Value": [now]},
            _DISCONTINUED: {"vr": "SQ", "Value": [dict(_UNSPECIFIED)]},
            _REASON: {"vr": "LT", "Value": ["The work was withdrawn."]},
        },
    )
    passed = (State.CANCELED,) if step.state is State.IN_PROGRESS else (State.IN_PROGRESS, State.CANCELED)
    return Outcome(_in_state(canceled, State.CANCELED), passed)


def _why_canceled(step: ProcedureStep) -> str:
    progress = items(step.attributes, "ProcedureStepProgressInformationSequence")
    reason = text(progress[0], "ReasonForCancellation") if progress else ""
    return f"It was canceled: {reason}" if reason and step.state is State.CANCELED else ""


def _with_progress(step: ProcedureStep, defaults: DicomJson) -> ProcedureStep:
    """Return the step with attributes added to its progress information where it has no values of them."""
    progress = items(step.attributes, "ProcedureStepProgressInformationSequence")
    first = {**progress[0]} if progress else {}
    first.update({tag: attribute for tag, attribute in defaults.items() if not any(values(first, tag))})
    sequence: DicomJson = {"vr": "SQ", "Value": [first, *(dict(item) for item in progress[1:])]}
    return replace(step, attributes={**step.attributes, _PROGRESS: dict(sequence)})


def _in_state(step: ProcedureStep, state: State) -> ProcedureStep:
    return replace(step, attributes={**step.attributes, STATE: {"vr": "CS", "Value": [state.value]}})


def _without_lock(attributes: DicomJson) -> DicomJson:
    return {tag: attribute for tag, attribute in attributes.items() if tag != TRANSACTION_UID}


def _claim_uid(transaction_uid: str) -> str:
    try:
        return check_uid(transaction_uid)
    except InvalidInput:  # which quotes it
        raise InvalidInput("The Transaction UID is not a DICOM UID.") from None


def _digest(transaction_uid: str) -> str:
    return hashlib.sha256(transaction_uid.strip(" \0\t\r\n").encode()).hexdigest()
