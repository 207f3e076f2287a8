"""The attributes that the index holds, by level.

References
----------
PS3.18 §10.6.1.2.3, §10.6.3.3 (Tables 10.6.1-5 and 10.6.3-3 to -5), and what the pages show besides.
"""

from __future__ import annotations

from dicomdock.dicom.header import Wanted

SEQUENCE = "RequestAttributesSequence"
ITEM_KEYWORDS = ("ScheduledProcedureStepID", "RequestedProcedureID")

PATIENT_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "OtherPatientIDs",
)
STUDY_KEYWORDS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
    "StudyDescription",
    "NameOfPhysiciansReadingStudy",
    *PATIENT_KEYWORDS,
    "PatientAge",
    "StudyID",
)
SERIES_KEYWORDS = (
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "BodyPartExamined",
    "Laterality",
    "ProtocolName",
    "FrameOfReferenceUID",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepDescription",
    "PerformingPhysicianName",
    "OperatorsName",
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "StationName",
)
INSTANCE_KEYWORDS = (
    "SOPInstanceUID",
    "SOPClassUID",
    "InstanceNumber",
    "ImageType",
    "AcquisitionNumber",
    "ContentDate",
    "ContentTime",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
)
WANTED = Wanted.of((*STUDY_KEYWORDS, *SERIES_KEYWORDS, *INSTANCE_KEYWORDS), SEQUENCE, ITEM_KEYWORDS)
# Kept as ``\\A\\B\\``; the first two are gathered from the lower levels.
MULTIVALUED = frozenset(
    {
        "ModalitiesInStudy",
        "SOPClassesInStudy",
        "NameOfPhysiciansReadingStudy",
        "OtherPatientIDs",
        "PerformingPhysicianName",
        "OperatorsName",
        "ImageType",
    }
)
NUMBERS = frozenset(
    {
        "SeriesNumber",
        "InstanceNumber",
        "AcquisitionNumber",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances",
    }
)
FOLDED = frozenset({"PatientName", "ReferringPhysicianName"})  # searched in columns of their own
COMPONENT_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
