"""What every object that dicomdock makes has in common: patient, study, equipment, new UIDs, character set.

References
----------
PS3.3 §C.7.1 (Patient), §C.7.2 (Study), §C.7.5 (Equipment), §C.12.1 (SOP Common); PS3.5 §6.1 (character sets).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from pydicom import dcmwrite
from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import PersonName, validate_value

from dicomdock.dicom.uid import new_uid
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import integer, items, text
from dicomdock.version import __version__

MANUFACTURER = "dicomdock"
SOFTWARE = f"dicomdock {__version__}"
MOST_LETTERS = 64  # of a Series Description (LO, PS3.5 §6.2)
MOST_DIGITS = 16  # characters of a DS value
UTF_8 = "ISO_IR 192"
IMPLEMENTATION = UID("2.25.111764919252647062018578409403664832698")
"""Implementation Class UID: a UUID once drawn for dicomdock (PS3.5 §B.2)."""

_PATIENT_STUDY = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "OtherPatientIDsSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
)
_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Type 2: present, if only empty."""

_IDENTITY = (*_REQUIRED, "StudyInstanceUID", "IssuerOfPatientID")

NOT_AUTHORIZED, AUTHORIZED = "OR", "AO"
"""SOP Instance Status of an original: not authorized for diagnostic use, and authorized (PS3.3 §C.12.1)."""

_DRAFT = " (draft)"

_SEXES = ("M", "F", "O", "")


@dataclass(frozen=True, slots=True)
class Authorship:
    """How an object that we make presents itself.

    Parameters
    ----------
    series_description : of the new series.
    series_number : of the new series; servers and viewers sort by it.
    series : Series Instance UID, to add to a series that is ours already; empty for a new one.
    instance_number : within the series; a new version of an object counts on.
    label : Content Label or Structure Set Label, 16 characters of capitals, digits, blank and underscore.
    description : in words.
    creator : who made it, as a DICOM person name (``Doe^Jane``).
    """

    series_description: str = ""
    series_number: int = 100
    series: str = ""
    instance_number: int = 1
    label: str = "SEGMENTATION"
    description: str = ""
    creator: str = ""


@dataclass(frozen=True, slots=True)
class Contributor:
    """A program that contributed to an object: an item of Contributing Equipment Sequence (0018,A001).

    Parameters
    ----------
    manufacturer, model, version : of the program; each may be empty.
    description : what it did, in words.
    at : Contribution DateTime, as DICOM writes it; empty where it is not known.

    References
    ----------
    PS3.3 §C.12.1.1.5 (Contributing Equipment); PS3.16 CID 7005.
    """

    manufacturer: str = ""
    model: str = ""
    version: str = ""
    description: str = ""
    at: str = ""


def contribute(dataset: Dataset, contributors: Sequence[Contributor]) -> None:
    """Name the programs that contributed to an object."""
    dataset.ContributingEquipmentSequence = [_contribution(one) for one in contributors]


def _contribution(contributor: Contributor) -> Dataset:
    item, purpose = Dataset(), Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "109102", "DCM"
    purpose.CodeMeaning = "Processing Equipment"
    item.PurposeOfReferenceCodeSequence = [purpose]
    item.Manufacturer = (contributor.manufacturer or "unknown")[:MOST_LETTERS]
    if contributor.model:
        item.ManufacturerModelName = contributor.model[:MOST_LETTERS]
    if contributor.version:
        item.SoftwareVersions = contributor.version[:MOST_LETTERS]
    if contributor.at:
        item.ContributionDateTime = contributor.at
    if contributor.description:
        item.ContributionDescription = contributor.description[:1024]
    return item


def contributors_of(dataset: Dataset) -> tuple[Contributor, ...]:
    """Read which programs contributed to an object."""
    return tuple(
        Contributor(
            text(item, "Manufacturer"),
            text(item, "ManufacturerModelName"),
            text(item, "SoftwareVersions"),
            text(item, "ContributionDescription"),
            text(item, "ContributionDateTime"),
        )
        for item in items(dataset, "ContributingEquipmentSequence")
    )


def decimal_string(value: float) -> str:
    """Return a number as a Decimal String, with as many digits as its 16 characters hold (PS3.5 §6.2).

    Raises
    ------
    ValueError
        The number is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"A Decimal String cannot hold {value}.")
    written = (repr(float(value)), *(f"{value:.{digits}g}" for digits in range(16, 0, -1)))
    return next(one for one in written if len(one) <= MOST_DIGITS)


def inherit(dataset: Dataset, source: Dataset) -> None:
    """Return a new object the patient and study of its source.

    What identifies them is taken as it is, else the object would not be found with its images; anything
    else only when it is valid, since we do not pass errors on.

    Parameters
    ----------
    dataset : the new object; what it holds of patient and study is replaced.
    source : an instance of the study, with or without pixels.
    """
    if not text(source, "StudyInstanceUID"):
        raise GeometryError("The source has no study.", [text(source, "SOPInstanceUID")])
    for keyword in _PATIENT_STUDY:
        if keyword in source and (keyword in _IDENTITY or _valid(source[keyword])):
            dataset.add(deepcopy(source[keyword]))
        elif keyword in dataset:
            del dataset[keyword]
    for keyword in _REQUIRED:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    if text(dataset, "PatientSex") not in _SEXES:
        dataset.PatientSex = ""


def _valid(element: DataElement) -> bool:
    values = element.value if element.VM > 1 else [element.value]
    try:
        for value in values:
            if element.VR != "SQ" and value is not None:
                validate_value(element.VR, value, RAISE)
    except (ValueError, TypeError):
        return False
    return True


def named_version(description: str, version: int) -> str:
    """Return a Series Description that says the version, in place of an earlier one and of a draft's mark."""
    suffix = f" (version {version})"
    return re.sub(r" \(version \d+\)$", "", undrafted(description))[: MOST_LETTERS - len(suffix)] + suffix


def drafted(description: str) -> str:
    """Return a Series Description that says that nobody has accepted the object yet."""
    return undrafted(description)[: MOST_LETTERS - len(_DRAFT)] + _DRAFT


def undrafted(description: str) -> str:
    """Return a Series Description without what ``drafted`` adds."""
    return description.replace(_DRAFT, "")


def begin(dataset: Dataset, sop_class: str, modality: str, source: Dataset, authorship: Authorship) -> None:
    """Fill the modules that all our objects share: patient, study, series, equipment, SOP common.

    Parameters
    ----------
    dataset : a new, empty Dataset.
    source : an instance of the study, with or without pixels.
    """
    inherit(dataset, source)
    now = datetime.now()
    dataset.SOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = UID(new_uid())
    dataset.Modality = modality
    dataset.SeriesInstanceUID = UID(authorship.series or new_uid())
    dataset.SeriesNumber = authorship.series_number
    dataset.InstanceNumber = authorship.instance_number
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    # To the microsecond: of two objects that a program makes within a second one is the later one.
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = now.strftime("%H%M%S.%f")
    if authorship.series_description:
        dataset.SeriesDescription = authorship.series_description[:MOST_LETTERS]
    equip(dataset)


def equip(dataset: Dataset) -> None:
    """Name dicomdock as the maker."""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.DeviceSerialNumber = __version__
    dataset.SoftwareVersions = SOFTWARE


def surrogate_series() -> dict[str, Any]:
    """Return series and equipment for an object of highdicom, which must have them; ``begin`` sets others."""
    return {
        "series_instance_uid": new_uid(),
        "series_number": 1,
        "sop_instance_uid": new_uid(),
        "instance_number": 1,
        "manufacturer": "-",
        "manufacturer_model_name": "-",
        "software_versions": "-",
        "device_serial_number": "-",
    }


def finish(dataset: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """Add the file meta information and the character set that the texts need.

    All texts were decoded when they were read; beyond ASCII they are written in UTF-8.
    """
    if any(_needs_utf8(element) for element in dataset.iterall()):
        dataset.SpecificCharacterSet = UTF_8
        for element in dataset.iterall():
            if element.VR == "PN":
                _recode(element)
    elif "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = SOFTWARE.replace(" ", "_").upper()[:16]
    dataset.file_meta = meta
    return dataset


def set_laterality(dataset: Dataset, source: Dataset) -> None:
    """Copy body part and side; a side that is not known is empty (PS3.3 §C.7.3.1, type 2C)."""
    for keyword in ("BodyPartExamined", "Laterality"):
        if keyword in source and keyword not in dataset:
            dataset.add(deepcopy(source[keyword]))
    if "BodyPartExamined" not in dataset and "Laterality" not in dataset:
        dataset.Laterality = ""


def to_bytes(dataset: Dataset) -> bytes:
    """Return a Dataset as the bytes of a DICOM file."""
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def reference(source: Dataset) -> Dataset:
    """Make the item that refers to an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def next_series_number(sources: Sequence[Dataset], *, offset: int = 100) -> int:
    """Return a series number that sorts behind the source's: ``offset`` + its number."""
    return offset + (integer(sources[0], "SeriesNumber") or 0 if sources else 0)


_TEXTS = ("SH", "LO", "ST", "LT", "UC", "UT", "PN")


def _needs_utf8(element: DataElement) -> bool:
    if element.VR not in _TEXTS or element.value is None:
        return False
    values = element.value if isinstance(element.value, (list, tuple)) or element.VM > 1 else [element.value]
    return any(not str(value).isascii() for value in values)


def _recode(element: DataElement) -> None:
    """Drop the bytes in which a person name was read, so that it is written in the new character set."""
    if element.VM == 0 or element.value is None:
        return
    values = list(element.value) if element.VM > 1 else [element.value]
    names = [PersonName(str(value), ["utf_8"]) for value in values]
    element.value = names if element.VM > 1 else names[0]
