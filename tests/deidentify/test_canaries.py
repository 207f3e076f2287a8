"""No canary leaves: not one of a text in every attribute of table E.1-1, wherever it stands."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
    ParametricMapStorage,
    PositronEmissionTomographyImageStorage,
    RTDoseStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    UltrasoundImageStorage,
)

from dicomdock.deidentify import OPTIONS, Deidentified
from dicomdock.deidentify.tables import tables
from tests.builders import composite, ct_series, encode
from tests.deidentify.canaries import found, infest, plant
from tests.deidentify.conftest import deidentified, deidentifier

EVERY_OPTION = "basic," + ",".join(sorted(set(OPTIONS) - {"retain-full-dates", "retain-uids"}))
# With options that keep what the standard lists, canaries are put where they do not apply.
PROFILES = [
    "basic",
    EVERY_OPTION,
    EVERY_OPTION.replace("modified", "full"),
    *(f"basic,{one}" for one in OPTIONS),
]
SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
HELD_KINDS = [
    CTImageStorage,
    MRImageStorage,
    EnhancedMRImageStorage,
    PositronEmissionTomographyImageStorage,
    UltrasoundImageStorage,  # without pixels there is nothing to hold back
    SegmentationStorage,
    RTStructureSetStorage,
    RTDoseStorage,
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    ParametricMapStorage,
]
DOCUMENT = 0x00420011  # one that holds it is held back as a whole

pytestmark = pytest.mark.usefixtures("odd_values")


def options_of(profile: str) -> list[str]:
    return profile.split(",")[1:]


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_no_canary_leaves_with_any_option(profile: str) -> None:
    data = infest(ct_series(1)[0].dataset, options_of(profile), spare=[DOCUMENT])
    assert len(found(data)) > 450
    left = found(deidentified(data, profile).data)
    if profile == "basic,retain-uids":
        left = {one for one in left if one.startswith(b"Q")}
    assert left == set()


@pytest.mark.slow
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_canary_leaves_in_any_encoding(syntax: str) -> None:
    dataset = composite(CTImageStorage, transfer_syntax=syntax, Modality="CT")
    data = infest(dataset, spare=[DOCUMENT])
    assert len(found(data)) > 450
    made = deidentified(data)
    assert found(made.data) == set()
    assert dcmread(io.BytesIO(made.data)).file_meta.TransferSyntaxUID == syntax


@pytest.mark.slow
@pytest.mark.parametrize("sop_class", HELD_KINDS)
def test_no_canary_leaves_in_any_kind_of_object(sop_class: str) -> None:
    """What leaves has no canary; the rest is held back, and the reason names none."""
    data = infest(composite(sop_class), options_of(EVERY_OPTION), spare=[DOCUMENT])
    outcome = deidentifier(EVERY_OPTION).file(io.BytesIO(data))
    assert isinstance(outcome, Deidentified)
    assert found(outcome.data) == set()
    assert dcmread(io.BytesIO(outcome.data)).SOPClassUID == sop_class


@pytest.mark.slow
def test_no_canary_leaves_in_any_object_of_the_standard() -> None:
    dataset = composite(CTImageStorage)
    plant(dataset, spare=[DOCUMENT])
    left = 0
    for sop_class in tables().sop_classes:
        dataset.SOPClassUID = sop_class
        outcome = deidentifier().dataset(dataset)
        if isinstance(outcome, Deidentified):
            left += 1
            assert found(outcome.data) == set(), sop_class
        else:
            assert found(outcome.reason.encode()) == set()
    assert left > 100


@pytest.mark.slow
def test_what_comes_in_stays_as_it_is() -> None:
    data = infest(ct_series(1)[0].dataset, spare=[DOCUMENT])
    dataset = dcmread(io.BytesIO(data))
    before = encode(dataset)
    deidentifier().dataset(dataset)
    assert encode(dataset) == before


def test_what_lies_behind_the_data_set_does_not_leave() -> None:
    data = ct_series(1)[0].data + b"Q00000001Z" * 20
    assert found(data)
    outcome = deidentifier().file(io.BytesIO(data))
    assert not isinstance(outcome, Deidentified) or found(outcome.data) == set()


def test_pixels_leave_as_they_are() -> None:
    for one in ct_series(3):
        made = dcmread(io.BytesIO(deidentified(one.data).data))
        assert made.PixelData == one.dataset.PixelData
