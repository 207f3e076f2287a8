"""What the standard requires of a procedure step in each of its states.

References
----------
PS3.4 Table CC.1.1-1 (states), Table CC.2.5-3 (attributes).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from dicomdock.dicom.json_model import DicomJson, items, values


class State(StrEnum):
    """The states of a Unified Procedure Step (PS3.4 Table CC.1.1-1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether no request leads out of it."""
        return self in (State.COMPLETED, State.CANCELED)


def missing_for(attributes: DicomJson, state: State) -> list[str]:
    """Return the keywords of the attributes that a final state requires and that are missing or empty.

    References
    ----------
    PS3.4 Table CC.2.5-3, column Final State.
    """
    if not state.is_final:
        return []
    missing = absent(attributes, _FOR_EITHER)
    if state is State.CANCELED:
        sequence, required = "ProcedureStepProgressInformationSequence", _FOR_CANCELED
    else:
        sequence, required = "UnifiedProcedureStepPerformedProcedureSequence", _FOR_COMPLETED
    performed = items(attributes, sequence)
    if not performed:
        return [*missing, sequence]
    for item in performed:
        missing += absent(item, required)
        if state is State.COMPLETED and _OUTPUT not in item:  # which may have no items
            missing.append("OutputInformationSequence")
    return list(dict.fromkeys(missing))


FOR_CREATION: Final = (
    "ScheduledProcedureStepPriority",
    "ProcedureStepLabel",
    "ScheduledProcedureStepStartDateTime",
    "InputReadinessState",
)
_FOR_EITHER: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ScheduledProcedureStepPriority",
    "ScheduledProcedureStepModificationDateTime",
    "ScheduledProcedureStepStartDateTime",
    "InputReadinessState",
)
_FOR_CANCELED: Final[tuple[str, ...]] = (
    "ProcedureStepCancellationDateTime",
    "ProcedureStepDiscontinuationReasonCodeSequence",
)
_FOR_COMPLETED: Final[tuple[str, ...]] = (
    "PerformedStationNameCodeSequence",
    "PerformedProcedureStepStartDateTime",
    "PerformedWorkitemCodeSequence",
    "PerformedProcedureStepEndDateTime",
)
_OUTPUT: Final = "00404033"  # Output Information Sequence


def absent(attributes: DicomJson, keywords: Sequence[str]) -> list[str]:
    """Return the keywords of which a data set has no value."""
    return [keyword for keyword in keywords if not any(values(attributes, keyword))]
