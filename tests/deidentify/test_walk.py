"""What stays and what goes, attribute by attribute, and that objects still point at one another."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from dicomdock.deidentify import Pseudonyms
from dicomdock.deidentify.descriptors import safe_words
from dicomdock.deidentify.pixels import Rectangle
from tests.builders import changed, composite, ct_series, document, encode, image_series, made
from tests.deidentify.conftest import KEY, deidentified, held_back


def code(value: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def item(kind: str, name: Dataset, **values: object) -> Dataset:
    made = Dataset()
    made.RelationshipType = "CONTAINS"
    made.ValueType = kind
    made.ConceptNameCodeSequence = [name]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def report() -> Dataset:
    """Make a report: an observer's name, a text, a measurement, an image, a coded finding."""
    dataset = composite(ComprehensiveSRStorage, Modality="SR")
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3.4"
    number = Dataset()
    number.NumericValue = "12.5"
    number.MeasurementUnitsCodeSequence = [code("mm", "UCUM", "mm")]
    dataset.ContentSequence = [
        item("PNAME", code("121008", "DCM", "Person Observer Name"), PersonName="Smith^John"),
        item("TEXT", code("121071", "DCM", "Finding"), TextValue="Mr Doe has a 5 mm nodule in the left lung"),
        item("NUM", code("121206", "DCM", "Distance"), MeasuredValueSequence=[number]),
        item("NUM", code("121033", "DCM", "Subject Age"), MeasuredValueSequence=[number]),
        item("IMAGE", code("121112", "DCM", "Source"), ReferencedSOPSequence=[image]),
        item(
            "CODE", code("121071", "DCM", "Finding"), ConceptCodeSequence=[code("10200004", "SCT", "Liver")]
        ),
        item("CODE", code("X1", "99LOCAL", "Ward of Dr Smith"), ConceptCodeSequence=[code("D1", "L", "Doe")]),
    ]
    return dataset


def test_a_report_keeps_its_shape_and_references_and_loses_its_texts() -> None:
    made = deidentified(encode(report())).dataset
    assert b"Smith" not in deidentified(encode(report())).data
    kinds = [one.ValueType for one in made.ContentSequence]
    assert kinds == ["PNAME", "NUM", "IMAGE", "CODE", "CODE"]
    name, number, image, finding, local = made.ContentSequence
    assert name.PersonName == "REMOVED"
    assert not number.MeasuredValueSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == Pseudonyms(KEY).uid("1.2.3.4")
    assert finding.ConceptCodeSequence[0].CodeMeaning == "Liver"
    assert local.ConceptNameCodeSequence[0].CodeMeaning == "REMOVED"
    assert local.ConceptCodeSequence[0].CodeMeaning == "REMOVED"


def test_a_cleaned_report_keeps_its_measurements_but_those_of_the_patient() -> None:
    made = deidentified(encode(report()), "basic,clean-structured-content").dataset
    numbers = [one for one in made.ContentSequence if one.ValueType == "NUM"]
    assert [one.ConceptNameCodeSequence[0].CodeMeaning for one in numbers] == ["Distance"]
    assert numbers[0].MeasuredValueSequence[0].NumericValue == 12.5


def test_a_cleaned_text_keeps_the_words_that_are_safe() -> None:
    made = deidentified(encode(report()), "basic,clean-structured-content,clean-descriptors").dataset
    (text,) = (one for one in made.ContentSequence if one.ValueType == "TEXT")
    assert text.TextValue == "nodule in left lung"


def test_nothing_is_removed_that_others_refer_to_by_position() -> None:
    dataset = report()
    dataset.ContentSequence.append(Dataset())
    dataset.ContentSequence[-1].RelationshipType = "INFERRED FROM"
    dataset.ContentSequence[-1].ReferencedContentItemIdentifier = [1, 3]
    made = deidentified(encode(dataset))
    assert len(made.dataset.ContentSequence) == len(dataset.ContentSequence)
    assert b"Smith" not in made.data


def test_descriptions_keep_the_words_that_are_safe() -> None:
    one = changed(ct_series(1)[0], StudyDescription="CT chest abdomen pelvis - 55F Dr. Smith")
    assert "StudyDescription" not in deidentified(one.data).dataset
    assert (
        deidentified(one.data, "basic,clean-descriptors").dataset.StudyDescription
        == "CT chest abdomen pelvis"
    )
    named = changed(one, PatientName="Chest^Ada")
    assert deidentified(named.data, "basic,clean-descriptors").dataset.StudyDescription == "CT abdomen pelvis"
    assert safe_words("T1 AX 3mm 12345678 01.02.1960", ()) == "T1 AX 3mm"


def test_text_of_machines_stays_unless_it_names_the_patient() -> None:
    one = changed(ct_series(1)[0], ConvolutionKernel="B30f", PatientName="Lovelace^Ada")
    assert deidentified(one.data).dataset.ConvolutionKernel == "B30f"
    named = changed(one, AnatomicRegionSequence=[code("1", "SCT", "Lovelace")])
    (region,) = deidentified(named.data).dataset.AnatomicRegionSequence
    assert (region.CodeValue, region.CodeMeaning) == ("1", "REMOVED")
    odd = changed(one, ConvolutionKernel="lovelace")
    assert "ConvolutionKernel" not in deidentified(odd.data).dataset


def test_private_attributes_go_but_numbers_that_the_standard_lists() -> None:
    dataset = ct_series(1)[0].dataset
    philips = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
    philips.add_new(0x00, "DS", "0.5")
    philips.add_new(0x10, "LO", "Doe^Jane")
    other = dataset.private_block(0x0009, "ACME", create=True)
    other.add_new(0x00, "DS", "1")
    data = encode(dataset)
    assert not [one for one in deidentified(data).dataset if one.tag.is_private]
    made = deidentified(data, "basic,retain-safe-private").dataset
    kept = {str(one.tag).upper(): one.value for one in made if one.tag.is_private}
    assert kept == {"(7053,0010)": "Philips PET Private Group", "(7053,1000)": 0.5}


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (image_series(1, sop_class=UltrasoundImageStorage, modality="US")[0], "ultrasound"),
        (image_series(1, sop_class=SecondaryCaptureImageStorage, modality="OT")[0], "secondary captures"),
        (image_series(1, sop_class="1.2.840.10008.5.1.4.1.1.1", modality="CR")[0], "does not say"),
        (ct_series(1, BurnedInAnnotation="YES")[0], "burned"),
        (changed(ct_series(1)[0], ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), "picture of a screen"),
        (changed(ct_series(1)[0], RecognizableVisualFeatures="YES"), "recognized"),
        (document(), "documents"),
        (made(composite("1.3.12.2.1107.5.9.1")), "private"),
        (made(composite(EncapsulatedPDFStorage)), "documents"),
    ],
)
def test_what_may_show_a_name_is_held_back(one, reason: str) -> None:
    assert reason in held_back(one.data)


@pytest.mark.parametrize("planar", [0, 1])
def test_rectangles_are_blanked_in_every_frame_and_nothing_else_changes(planar: int) -> None:
    dataset = composite(UltrasoundImageStorage, Modality="US")
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 6, 5, 3
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, planar
    dataset.PhotometricInterpretation = "RGB"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    pixels = np.random.default_rng(1).integers(1, 255, (3, 6, 5, 3), np.uint8)
    dataset.PixelData = (pixels.transpose(0, 3, 1, 2) if planar else pixels).tobytes()
    made = deidentified(encode(dataset), rectangles=[Rectangle(3, 0, 9, 2)]).dataset
    expected = pixels.copy()
    expected[:, :2, 3:] = 0
    assert np.array_equal(made.pixel_array, expected)
    assert made.BurnedInAnnotation == "NO"
    assert "113101" in [one.CodeValue for one in made.DeidentificationMethodCodeSequence]


def test_compressed_pixels_are_blanked() -> None:
    from pydicom.uid import RLELossless

    one = ct_series(1, BurnedInAnnotation="YES")[0]
    packed = one.dataset
    pixels = packed.pixel_array.copy()
    packed.compress(RLELossless, generate_instance_uid=False)
    outcome = deidentified(encode(packed), rectangles=[Rectangle(0, 0, 2, 2)])
    expected = pixels.copy()
    expected[:2, :2] = -32768
    assert np.array_equal(outcome.dataset.pixel_array, expected)


def test_a_rectangle_outside_blanks_nothing_so_the_image_stays() -> None:
    one = ct_series(1, BurnedInAnnotation="YES")[0]
    assert "outside" in held_back(one.data, rectangles=[Rectangle(500, 0, 1, 1)])
