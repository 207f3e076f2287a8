"""Event reports: what a subscriber of a procedure step is sent when it changes.

References
----------
PS3.4 CC.2.4 (Table CC.2.4-1); PS3.7 §10.3.1 (command elements); PS3.18 §8.10.5 (DICOM JSON by WebSocket).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from dicomdock.dicom.dictionary import tag_and_vr
from dicomdock.dicom.json_model import DicomJson, JsonValue, items, values
from dicomdock.worklist.procedure_step import SOP_CLASS, Outcome, ProcedureStep
from dicomdock.worklist.requirements import State

MAX_REPORT = 1 << 16  # characters; a larger one is sent without what makes it large
_PROGRESS: Final = "ProcedureStepProgressInformationSequence"
_REPORTED: Final = (  # parts of the progress whose change is reported
    "ProcedureStepProgress",
    "ProcedureStepProgressDescription",
    "ProcedureStepProgressParametersSequence",
    "ProcedureStepCommunicationsURISequence",
)
_ASSIGNED: Final = ("ScheduledStationNameCodeSequence", "ScheduledHumanPerformersSequence")
_CANCELLATION: Final = (
    "ReasonForCancellation",
    "ProcedureStepDiscontinuationReasonCodeSequence",
    "ContactURI",
    "ContactDisplayName",
)


class EventType(IntEnum):
    """Event Type ID (PS3.4 Table CC.2.4-1)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    ASSIGNED = 5


def changes(before: ProcedureStep | None, outcome: Outcome) -> Iterator[DicomJson]:
    """Return the reports of what a request changed.

    Parameters
    ----------
    before : the step before; None of a new one.
    outcome : of the request.
    """
    after = outcome.step
    if outcome.cancel_requested is not None:
        # Over HTTP nobody states an AE title; the attribute is of type 1.
        asker: DicomJson = {"00741236": {"vr": "AE", "Value": ["ANONYMOUS"]}}
        asked = {tag: outcome.cancel_requested.get(tag) for tag in _tags(_CANCELLATION)}
        given: DicomJson = {tag: attribute for tag, attribute in asked.items() if attribute}
        yield report(after.uid, EventType.CANCEL_REQUESTED, {**asker, **given})
    for state in outcome.passed:
        yield state_report(after, state)
    if before is None or (_differ(before, after, ("InputReadinessState",)) and not outcome.passed):
        yield state_report(after, after.state)
    if before is not None and _progress(before) != _progress(after):
        yield report(after.uid, EventType.PROGRESS_REPORT, _only(after, (_PROGRESS,)))
    if (before is None and any(values(after.attributes, name) for name in _ASSIGNED)) or (
        before is not None and _differ(before, after, _ASSIGNED)
    ):
        yield report(after.uid, EventType.ASSIGNED, _only(after, _ASSIGNED))


def state_report(step: ProcedureStep, state: State) -> DicomJson:
    """Return the report that a step is in a state."""
    reported: DicomJson = {
        "00741000": {"vr": "CS", "Value": [state.value]},
        **_only(step, ("InputReadinessState",)),
    }
    progress = items(step.attributes, _PROGRESS)
    if state is State.CANCELED and progress:
        why = {tag: progress[0].get(tag) for tag in _tags(_CANCELLATION[:2])}
        reported = {**reported, **{tag: attribute for tag, attribute in why.items() if attribute}}
    return report(step.uid, EventType.STATE_REPORT, reported)


def report(uid: str, kind: EventType, attributes: DicomJson) -> DicomJson:
    """Return an event report.

    Parameters
    ----------
    uid : of the step.
    kind : of the event.
    attributes : what the report says.
    """
    command: DicomJson = {
        "00000002": {"vr": "UI", "Value": [SOP_CLASS]},
        "00000100": {"vr": "US", "Value": [0x0100]},  # Command Field: N-EVENT-REPORT-RQ
        "00000800": {"vr": "US", "Value": [0]},  # Command Data Set Type: there is one
        "00001000": {"vr": "UI", "Value": [uid]},
        "00001002": {"vr": "US", "Value": [int(kind)]},
    }
    whole = {**command, **attributes}
    if len(json.dumps(whole)) <= MAX_REPORT:
        return whole
    short: DicomJson = {
        tag: {"vr": attribute["vr"]} if len(json.dumps(attribute)) > MAX_REPORT // 8 else attribute
        for tag, attribute in attributes.items()
        if isinstance(attribute, dict)
    }
    return {**command, **short}


def _progress(step: ProcedureStep) -> list[list[list[JsonValue]]]:
    """Return the values whose change is reported, of each item that has any."""
    each = ([values(item, name) for name in _REPORTED] for item in items(step.attributes, _PROGRESS))
    return [one for one in each if any(one)]


def _differ(before: ProcedureStep, after: ProcedureStep, keywords: tuple[str, ...]) -> bool:
    return any(values(before.attributes, name) != values(after.attributes, name) for name in keywords)


def _only(step: ProcedureStep, keywords: tuple[str, ...]) -> DicomJson:
    found = {tag: step.attributes.get(tag) for tag in _tags(keywords)}
    return {tag: attribute for tag, attribute in found.items() if attribute}


def _tags(keywords: tuple[str, ...]) -> list[str]:
    return [tag_and_vr(keyword)[0] for keyword in keywords]
