"""What the standard requires of a procedure step in each of its states.

References
----------
PS3.4 Table CC.1.1-1 (states), Table CC.2.5-3 (attributes of N-CREATE, N-SET, C-FIND and of the final state),
CC.2.5.1.1 (final state codes); PS3.3 C.30.1, C.30.2 (enumerated values).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.json_model import DicomJson, items, text, values
from dicomdock.errors import InvalidInput


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


_ALWAYS: Final = (  # type 1 of N-CREATE, and never without a value after an N-SET
    "ScheduledProcedureStepPriority",
    "ProcedureStepLabel",
    "ScheduledProcedureStepStartDateTime",
    "InputReadinessState",
)
_NOT_EMPTIED: Final = (  # type 1 of N-SET: an update takes no value away
    *_ALWAYS,
    "WorklistLabel",
    "ExpectedCompletionDateTime",
    "ScheduledWorkitemCodeSequence",
    "CommentsOnTheScheduledProcedureStep",
)
_EMPTY_AT_FIRST: Final = (
    "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
)
_ENUMERATED: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "ScheduledProcedureStepPriority": ("HIGH", "MEDIUM", "LOW"),
        "InputReadinessState": ("INCOMPLETE", "UNAVAILABLE", "READY"),
    }
)
_SET_AT_CREATION_ONLY: Final = (  # "Not allowed" for N-SET
    "SOPClassUID",
    "SOPInstanceUID",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "ReferencedRequestSequence",
    "ReplacedProcedureStepSequence",
)
RETURNED: Final = frozenset(  # return keys of type 1 and 2: what a match has where nothing more was asked for
    {
        "SOPClassUID",
        "SOPInstanceUID",
        "ScheduledProcedureStepPriority",
        "ProcedureStepLabel",
        "WorklistLabel",
        "ScheduledProcessingParametersSequence",
        "ScheduledStationNameCodeSequence",
        "ScheduledStationClassCodeSequence",
        "ScheduledStationGeographicLocationCodeSequence",
        "ScheduledHumanPerformersSequence",
        "ScheduledProcedureStepStartDateTime",
        "ScheduledWorkitemCodeSequence",
        "InputReadinessState",
        "InputInformationSequence",
        "StudyInstanceUID",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
        "OtherPatientIDsSequence",
        "PatientBirthDate",
        "PatientSex",
        "AdmissionID",
        "IssuerOfAdmissionIDSequence",
        "AdmittingDiagnosesDescription",
        "AdmittingDiagnosesCodeSequence",
        "ReferencedRequestSequence",
        "MedicalAlerts",
        "PregnancyStatus",
        "SpecialNeeds",
        "ProcedureStepState",
        "ProcedureStepProgressInformationSequence",
    }
)
_FOR_EITHER: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ScheduledProcedureStepPriority",
    "ScheduledProcedureStepModificationDateTime",
    "ScheduledProcedureStepStartDateTime",
    "InputReadinessState",
)
_FOR_CANCELED: Final = (
    "ProcedureStepCancellationDateTime",
    "ProcedureStepDiscontinuationReasonCodeSequence",
)
_FOR_COMPLETED: Final = (
    "PerformedStationNameCodeSequence",
    "PerformedProcedureStepStartDateTime",
    "PerformedWorkitemCodeSequence",
    "PerformedProcedureStepEndDateTime",
)
_OUTPUT: Final = "00404033"  # Output Information Sequence


def check_new(attributes: DicomJson) -> None:
    """Check the attributes of a request for a new step.

    Raises
    ------
    InvalidInput
        Another state than SCHEDULED; a Transaction UID, which only a claim sets; progress or results, which
        only its performer writes; an attribute of type 1 without a value, or a value that is not one of its
        enumerated ones.
    """
    if values(attributes, "ProcedureStepState") != [State.SCHEDULED]:
        raise InvalidInput("A new procedure step has the Procedure Step State SCHEDULED.")
    if text(attributes, "TransactionUID"):
        raise InvalidInput("A new procedure step has no Transaction UID.")
    if missing := absent(attributes, _ALWAYS):
        raise InvalidInput(f"A new procedure step has values of {', '.join(missing)}.")
    if full := [keyword for keyword in _EMPTY_AT_FIRST if values(attributes, keyword)]:
        raise InvalidInput(f"A new procedure step has no items of {', '.join(full)}.")
    _check_enumerated(attributes)


def check_update(attributes: DicomJson, present: DicomJson) -> None:
    """Check the attributes of a request to update a step.

    Parameters
    ----------
    attributes : those of the request.
    present : those of the step.

    Raises
    ------
    InvalidInput
        They contain the state; another value of an attribute that is set at creation only; no value of one
        that keeps the one it has; a value that is not one of the enumerated ones, or several.
    """
    if tag_of("ProcedureStepState") in attributes:
        raise InvalidInput("An update does not change the Procedure Step State.")
    for keyword in _SET_AT_CREATION_ONLY:
        if tag_of(keyword) in attributes and values(attributes, keyword) != values(present, keyword):
            raise InvalidInput(f"An update does not change the {keyword}.")
    for keyword in _NOT_EMPTIED:
        if tag_of(keyword) in attributes and absent(attributes, [keyword]) and not absent(present, [keyword]):
            raise InvalidInput(f"An update does not remove the {keyword}.")
    _check_enumerated(attributes)


def _check_enumerated(attributes: DicomJson) -> None:
    for keyword, allowed in _ENUMERATED.items():
        given = values(attributes, keyword)
        if len(given) > 1 or text(attributes, keyword) not in ("", *allowed):
            raise InvalidInput(f"The {keyword} is {', '.join(allowed[:-1])} or {allowed[-1]}.")


def missing_for(attributes: DicomJson, state: State) -> list[str]:
    """Return the keywords of the attributes that a final state requires and that are missing or empty.

    References
    ----------
    PS3.4 Table CC.2.5-3, column Final State.
    """
    if not state.is_final:
        return []
    missing = absent(attributes, _FOR_EITHER)
    required: Sequence[str]
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


def absent(attributes: DicomJson, keywords: Sequence[str]) -> list[str]:
    """Return the keywords of which a data set has no value."""
    return [keyword for keyword in keywords if not any(values(attributes, keyword))]
