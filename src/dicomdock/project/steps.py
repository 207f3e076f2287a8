"""The procedure steps of a case: one for each annotation and each review, as other programs see them.

References
----------
PS3.3 C.30.2 (Scheduled Procedure Information), C.30.5 (Relationship); PS3.16 CID 9231 (workitems).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from dicomdock.dicom.json_model import DicomJson, items, text
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.project.model import Case, Project, name_of
from dicomdock.worklist.performed import code_item, performed, performer_item, sequence
from dicomdock.worklist.procedure_step import Outcome, ProcedureStep, conclude, update

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"  # SOP Class
_ANNOTATE: Final = code_item("110005", "DCM", "Interpretation")
_REVIEW: Final = code_item("110002", "DCM", "Quality Control")
_SERIES: Final = code_item("112002", "DCM", "Series Instance UID")


def scheduled(case: Case, project: Project, now: str, *, review: bool) -> DicomJson:
    """Return the attributes of the step that is to be done next.

    Parameters
    ----------
    now : the time, in the form of a DT value.
    review : the step is a review.
    """
    verb = "review" if review else "annotate"
    label = f"{name_of(case, project)} {verb}: {project.task.title}"[:64]
    attributes: DicomJson = {
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00741200": {"vr": "CS", "Value": ["MEDIUM"]},
        "00741204": {"vr": "LO", "Value": [label]},
        "00741202": {"vr": "LO", "Value": [project.name]},
        "00404005": {"vr": "DT", "Value": [now]},
        "00404041": {"vr": "CS", "Value": ["READY"]},
        "00404018": sequence(_REVIEW if review else _ANNOTATE),
        "0020000D": {"vr": "UI", "Value": [case.series.study]},
        "00741210": sequence(_uid_parameter(_SERIES, case.series.series or "")),
    }
    if case.patient:
        attributes = {**attributes, "00100020": {"vr": "LO", "Value": [case.patient]}}
    comment = case.note or project.task.instructions
    if comment and not review:
        attributes = {**attributes, "00400400": {"vr": "LT", "Value": [comment[:10240]]}}
    if case.assigned and not review:
        attributes = {**attributes, "00404034": sequence(performer_item(case.assigned))}
    if review and case.result is not None:
        attributes = {**attributes, "00404021": sequence(_instance(case.result))}
    return attributes


def assigned(step: ProcedureStep, person: str, now: str) -> Outcome:
    """Return a scheduled step that only one person may perform, or anyone where the name is empty.

    Parameters
    ----------
    now : the time, in the form of a DT value.
    """
    people: DicomJson = {"00404034": sequence(performer_item(person)) if person else {"vr": "SQ"}}
    return Outcome(update(step, people, "", now))


def completed(
    step: ProcedureStep,
    now: str,
    person: str,
    *,
    begun: float,
    result: Resource | None = None,
    comment: str = "",
) -> Outcome:
    """Return a step as it is once a person has completed it.

    Parameters
    ----------
    now : the time, in the form of a DT value.
    begun : when they took it, in seconds since 1970.
    result : the Segmentation that came of it.
    comment : what was done, in words.

    Raises
    ------
    StepRefused
        Nobody has claimed it, or it is ended.
    """
    outputs = [] if result is None else [_instance(result)]
    taken = datetime.fromtimestamp(begun, UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    done = performed(
        step.attributes, begun=taken, ended=now, comment=comment, people=[person], outputs=outputs
    )
    return conclude(step, done, now)


def performer_of(step: ProcedureStep) -> str:
    """Return who a step says has performed it; empty where it does not."""
    for item in items(step.attributes, "UnifiedProcedureStepPerformedProcedureSequence"):
        for person in items(item, "ActualHumanPerformersSequence"):
            if name := text(person, "HumanPerformerName"):
                return name
    return ""


def output_of(step: ProcedureStep) -> Resource | None:
    """Return the first instance that a step says came of it; None where it names none."""
    for item in items(step.attributes, "UnifiedProcedureStepPerformedProcedureSequence"):
        for output in items(item, "OutputInformationSequence"):
            study, series = text(output, "StudyInstanceUID"), text(output, "SeriesInstanceUID")
            for one in items(output, "ReferencedSOPSequence"):
                try:
                    return Resource(study, series, text(one, "ReferencedSOPInstanceUID"))
                except InvalidInput:  # of another program: no UID
                    continue
    return None


def _instance(resource: Resource) -> DicomJson:
    """Return an item of Referenced Instances and Access for a Segmentation (PS3.3 Table 10-3b)."""
    referenced: DicomJson = {
        "00081150": {"vr": "UI", "Value": [SEGMENTATION]},
        "00081155": {"vr": "UI", "Value": [resource.instance or ""]},
    }
    return {
        "0040E020": {"vr": "CS", "Value": ["DICOM"]},
        "0020000D": {"vr": "UI", "Value": [resource.study]},
        "0020000E": {"vr": "UI", "Value": [resource.series or ""]},
        "00081199": sequence(referenced),
    }


def _uid_parameter(name: DicomJson, uid: str) -> DicomJson:
    return {
        "0040A040": {"vr": "CS", "Value": ["UIDREF"]},
        "0040A043": sequence(name),
        "0040A124": {"vr": "UI", "Value": [uid]},
    }
