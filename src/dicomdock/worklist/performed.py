"""What was performed in a procedure step: the attributes that its final state requires, filled in.

References
----------
PS3.4 Table CC.2.5-3 (final state requirements); PS3.3 C.30.3 (Performed Procedure Information Module).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Final

from dicomdock.dicom.json_model import DicomJson, JsonValue, items, text

PRIVATE_SCHEME: Final = "99DICOMDOCK"


def performed(
    step: DicomJson,
    *,
    begun: str,
    ended: str,
    comment: str = "",
    people: Sequence[str] = (),
    outputs: Sequence[DicomJson] = (),
) -> DicomJson:
    """Return the Performed Procedure Sequence of a step; what the step has of it already stays.

    Parameters
    ----------
    step : as it is.
    begun, ended : when it was performed, each in the form of a DT value.
    comment : what was done, in words.
    people : who performed it.
    outputs : the items of the Output Information Sequence.
    """
    first, *others = items(step, "UnifiedProcedureStepPerformedProcedureSequence") or [{}]
    scheduled = items(step, "ScheduledWorkitemCodeSequence")
    label = text(step, "ProcedureStepLabel")[:64] or "Work"
    station = platform.node() or "station"
    required: DicomJson = {
        "00404028": sequence(code_item(station[:16], PRIVATE_SCHEME, station[:64])),
        "00404050": {"vr": "DT", "Value": [begun]},
        "00404019": sequence(*scheduled) if scheduled else sequence(code_item("WORK", PRIVATE_SCHEME, label)),
        "00404051": {"vr": "DT", "Value": [ended]},
        "00404033": sequence(*outputs),
    }
    if people:
        required = {**required, "00404035": sequence(*map(performer_item, people))}
    if comment:
        required = {**required, "00400280": {"vr": "ST", "Value": [comment[:1024]]}}
    return {"00741216": sequence({**required, **first}, *others)}


def performer_item(person: str) -> DicomJson:
    """Return the item of a human performer, whose code is their name."""
    return {
        "00404009": sequence(code_item(person[:16], PRIVATE_SCHEME, person[:64])),
        "00404037": {"vr": "PN", "Value": [{"Alphabetic": person}]},
    }


def code_item(value: str, scheme: str, meaning: str) -> DicomJson:
    """Return the item of a code sequence."""
    return {
        "00080100": {"vr": "SH", "Value": [value]},
        "00080102": {"vr": "SH", "Value": [scheme]},
        "00080104": {"vr": "LO", "Value": [meaning]},
    }


def sequence(*found: DicomJson) -> dict[str, JsonValue]:
    """Return a sequence of these items."""
    return {"vr": "SQ", "Value": [dict(item) for item in found]} if found else {"vr": "SQ"}
