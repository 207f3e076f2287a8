"""Dictionary: keyword, tag and VR of an attribute.

The attributes that searching and the archive use all the time are named here, so that a command which only
searches need not import pydicom; the rest comes from pydicom's dictionary when it is asked for.

References
----------
PS3.6 (Data Dictionary).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dicomdock.errors import InvalidInput

_USUAL = """
SpecificCharacterSet 00080005 CS|ImageType 00080008 CS|SOPClassUID 00080016 UI|SOPInstanceUID 00080018 UI
StudyDate 00080020 DA|SeriesDate 00080021 DA|AcquisitionDate 00080022 DA|ContentDate 00080023 DA
AcquisitionDateTime 0008002A DT|StudyTime 00080030 TM|SeriesTime 00080031 TM|AcquisitionTime 00080032 TM
ContentTime 00080033 TM|AccessionNumber 00080050 SH|InstanceAvailability 00080056 CS|Modality 00080060 CS
ModalitiesInStudy 00080061 CS|SOPClassesInStudy 00080062 UI|Manufacturer 00080070 LO
InstitutionName 00080080 LO
ReferringPhysicianName 00080090 PN|TimezoneOffsetFromUTC 00080201 SH|StationName 00081010 SH
StudyDescription 00081030 LO|SeriesDescription 0008103E LO|PerformingPhysicianName 00081050 PN
NameOfPhysiciansReadingStudy 00081060 PN|OperatorsName 00081070 PN|ManufacturerModelName 00081090 LO
RetrieveURL 00081190 UR|FailureReason 00081197 US|AvailableTransferSyntaxUID 00083002 UI
PatientName 00100010 PN|PatientID 00100020 LO|IssuerOfPatientID 00100021 LO|PatientBirthDate 00100030 DA
PatientBirthTime 00100032 TM|PatientSex 00100040 CS|OtherPatientIDs 00101000 LO|PatientAge 00101010 AS
BodyPartExamined 00180015 CS|ProtocolName 00181030 LO|StudyInstanceUID 0020000D UI
SeriesInstanceUID 0020000E UI
StudyID 00200010 SH|SeriesNumber 00200011 IS|AcquisitionNumber 00200012 IS|InstanceNumber 00200013 IS
FrameOfReferenceUID 00200052 UI|Laterality 00200060 CS|NumberOfPatientRelatedStudies 00201200 IS
NumberOfStudyRelatedSeries 00201206 IS|NumberOfStudyRelatedInstances 00201208 IS
NumberOfSeriesRelatedInstances 00201209 IS|NumberOfFrames 00280008 IS|Rows 00280010 US|Columns 00280011 US
BitsAllocated 00280100 US|ScheduledProcedureStepID 00400009 SH|PerformedProcedureStepStartDate 00400244 DA
PerformedProcedureStepStartTime 00400245 TM|PerformedProcedureStepDescription 00400254 LO
RequestAttributesSequence 00400275 SQ|RequestedProcedureID 00401001 SH
"""
_ENTRIES = [entry.split() for entry in _USUAL.strip().replace("\n", "|").split("|")]
_BY_KEYWORD: Mapping[str, tuple[str, str]] = {keyword: (tag, vr) for keyword, tag, vr in _ENTRIES}
_BY_TAG: Mapping[str, str] = {tag: keyword for keyword, tag, _ in _ENTRIES}
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")


def tag_and_vr(keyword: str) -> tuple[str, str]:
    """Return the tag, as eight upper-case hexadecimal digits, and the VR of an attribute.

    Where the standard leaves the VR open (``US or SS``) the first one is given.

    Parameters
    ----------
    keyword : of PS3.6, or a tag of eight hexadecimal digits, which has the VR ``UN`` if it is unknown.

    Raises
    ------
    InvalidInput
        No attribute is called so.
    """
    if entry := _BY_KEYWORD.get(keyword):
        return entry
    from pydicom import datadict

    number = datadict.tag_for_keyword(keyword)
    if number is None:
        if not _TAG.match(keyword):
            raise InvalidInput(f"{keyword!r} is not the keyword of a DICOM attribute.{_meant(keyword)}")
        number = int(keyword, 16)
    try:
        vr = datadict.dictionary_VR(number)
    except KeyError:
        vr = "UN"
    return f"{number:08X}", vr[:2]


def _meant(keyword: str) -> str:
    """Return the question whether another keyword is meant; empty where none is like it."""
    from difflib import get_close_matches

    from pydicom import datadict

    for known in (_BY_KEYWORD, datadict.keyword_dict):  # what is searched all the time is meant more often
        by_case = {name.lower(): name for name in known if name}
        if close := get_close_matches(keyword[:64].lower(), by_case, 1, 0.8):
            return f" Did you mean {by_case[close[0]]}?"
    return ""


def tag_of(keyword: str) -> str:
    """Return the tag of an attribute: ``PatientName`` -> ``00100010``.

    Raises
    ------
    InvalidInput
        No attribute is called so.
    """
    return tag_and_vr(keyword)[0]


def vr_of(keyword: str) -> str:
    """Return the VR of an attribute: ``PatientName`` -> ``PN``.

    Raises
    ------
    InvalidInput
        No attribute is called so.
    """
    return tag_and_vr(keyword)[1]


def keyword_of(tag: str) -> str:
    """Return the keyword of a tag: ``00100010`` -> ``PatientName``; the tag itself where it has none.

    Parameters
    ----------
    tag : eight hexadecimal digits.
    """
    tag = tag.upper()
    if keyword := _BY_TAG.get(tag):
        return keyword
    if not _TAG.match(tag):
        return tag
    from pydicom import datadict

    return datadict.keyword_for_tag(int(tag, 16)) or tag
