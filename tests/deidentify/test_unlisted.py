"""Attributes that the table does not list: text stays in code strings and in what equipment writes alone."""

from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicomdock.deidentify.unlisted import machine_binary, machine_text
from tests.builders import ct_series, encode
from tests.deidentify.canaries import found, text
from tests.deidentify.conftest import deidentified

NEEDED = {"SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"}
DECIDING = {"ImageType", "ConversionType", "BurnedInAnnotation", "RecognizableVisualFeatures"}
TEXTS = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}

pytestmark = pytest.mark.usefixtures("odd_values")


def crowded(vr: str) -> Dataset:
    """Return a data set with a canary in every attribute of the dictionary that holds text."""
    made = Dataset()
    for tag, (own, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 >= 0x0008 and own in TEXTS and keyword not in NEEDED | DECIDING:
            raw = text(tag).encode()
            made[tag] = RawDataElement(Tag(tag), vr or own, len(raw), raw, 0, False, True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("vr", ["", "LO", "UT", "UN"])
@pytest.mark.parametrize("profile", ["basic", "basic,clean-descriptors,retain-modified-dates"])
def test_text_in_any_attribute_of_the_dictionary_goes(profile: str, vr: str, nested: bool) -> None:
    dataset = ct_series(1)[0].dataset
    if nested:
        dataset.PertinentOtherEvidenceSequence = [crowded(vr)]
    else:
        dataset.update(crowded(vr))
    data = encode(dataset)
    assert len(found(data)) > 1700
    left = {int(one[1:9], 16) for one in found(deidentified(data, profile).data)}
    known = {
        tag for tag in left if DicomDictionary[tag][0] == "CS" or DicomDictionary[tag][4] in machine_text()
    }
    assert left == known


BYTES = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
NUMBERS = {"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"}
STRUCTURE = {
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "SamplesPerPixel",
    "PixelRepresentation",
}


def stuffed(vr: str) -> Dataset:
    """Return a data set with a canary in every attribute of the dictionary that holds bytes or one number."""
    made = Dataset()
    for tag, (own, number, _, _, keyword) in DicomDictionary.items():
        single = own in NUMBERS and number == "1"
        if (
            tag >> 16 >= 0x0008
            and (own in BYTES or single)
            and keyword not in STRUCTURE | {"EncapsulatedDocument"}
        ):
            raw = text(tag).encode() * (4 if own in ("FD", "OD", "OV", "SV", "UV", "FL", "UL") else 2)
            made[tag] = RawDataElement(Tag(tag), vr or own, len(raw), raw, 0, False, True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("vr", ["", "UN", "OB"])
def test_bytes_of_unknown_meaning_go(vr: str, nested: bool) -> None:
    """Only what is pixels, curves, surfaces and tables of numbers stays as it is."""
    dataset = ct_series(1)[0].dataset
    if nested:
        dataset.PertinentOtherEvidenceSequence = [stuffed(vr)]
    else:
        dataset.update(stuffed(vr))
    data = encode(dataset)
    assert len(found(data)) > 500
    left = {DicomDictionary[int(one[1:9], 16)][4] for one in found(deidentified(data).data)}
    assert left <= machine_binary()


def test_what_is_typed_into_a_code_string_goes() -> None:
    """Of several values those that are codes stay where they are; safe words stay in any case."""
    typed = {
        "BodyPartExamined": "Mrs Miller, hip",
        "Laterality": "l (ring 555-1234)",
        "ScanOptions": ["FAST_GEMS", "müller anrufen", "T2*", "HELICAL MODE/X-Y"],
        "PatientPosition": "JANE MILLER CALLED BACK LATER",
        "SequenceVariant": "Miller^Ann",
    }
    kept = {"BodyPartExamined": "Head", "Laterality": "L", "PatientPosition": "HFS", "SequenceVariant": "SP"}
    dataset = ct_series(1)[0].dataset
    dataset.SpecificCharacterSet = "ISO_IR 100"
    for values in (typed, kept):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        made = deidentified(encode(dataset)).dataset
        for keyword, value in values.items():
            if values is kept:
                assert made.get(keyword) == value
            elif keyword != "ScanOptions":
                assert made.get(keyword) in (None, "", "REMOVED")
    dataset.ScanOptions = typed["ScanOptions"]
    assert [*deidentified(encode(dataset)).dataset.ScanOptions] == ["FAST_GEMS", "REMOVED", "T2*", "REMOVED"]


def test_uids_leave_in_no_text_and_no_code_string() -> None:
    """But those of the standard, and all of them where the profile keeps UIDs."""
    dataset = ct_series(1)[0].dataset
    own = dataset.SOPInstanceUID
    dataset.SoftwareVersions = f"made from {own}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", own]
    concept = Dataset()
    concept.URNCodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = f"urn:oid:{own}", "DCM", "of"
    dataset.AnatomicRegionSequence = [concept]
    dataset.ManufacturerModelName = "knows 1.2.840.10008.5.1.4.1.1.2, version 5.4.3.2.1.0"
    dataset.RetrieveURL = f"https://pacs.example/studies/{own}"
    data = encode(dataset)
    made = deidentified(data)
    assert own.encode() not in made.data
    assert [*made.dataset.ImageType] == ["ORIGINAL", "PRIMARY", "REMOVED"]
    assert made.dataset.ManufacturerModelName == dataset.ManufacturerModelName
    assert deidentified(data, "basic,retain-uids").dataset.SoftwareVersions == dataset.SoftwareVersions
