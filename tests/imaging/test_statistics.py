"""Numbers of segments, against published ones, analytic bodies, numpy and VTK."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.statistics import (
    body_weight_factor,
    measure_shape,
    peak,
    segment_statistics,
    summarize,
    to_suv,
)
from dicomdock.imaging.volume import Volume
from tests.imaging.scans import oblique, scan

N = 0  # outside the region of interest
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [N, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, N, N], [1, 1, 1, 1, 1], [1, 1, N, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, N, N], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
"""The digital phantom of the Image Biomarker Standardisation Initiative, voxels of 2 mm."""
TWO_MM = oblique((0, 0, 0), (2, 2, 2), (0, 0, 0))


def test_the_published_values_of_the_ibsi_phantom() -> None:
    inside = PHANTOM > 0
    grid = VolumeGeometry(PHANTOM.shape, TWO_MM)
    shape = measure_shape(inside, grid)
    assert (shape.voxels, shape.volume) == (74, pytest.approx(0.592))
    assert shape.surface == pytest.approx(388, rel=0.01)
    assert shape.diameter == pytest.approx(13.1, abs=0.05)
    values = summarize(PHANTOM[inside])
    assert values is not None
    assert values.mean == pytest.approx(2.15, abs=0.005)
    assert values.deviation**2 == pytest.approx(3.05, abs=0.005)
    assert (values.minimum, values.median, values.maximum) == (1, 1, 6)
    assert (values.percentiles[1], values.percentiles[4]) == (1, 4)


affines = st.builds(
    oblique,
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.tuples(*[st.floats(0.4, 4)] * 3),
    st.tuples(*[st.floats(-50, 50)] * 3),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(arrays(np.bool_, st.tuples(*[st.integers(1, 5)] * 3)), affines)
def test_any_segment_has_the_diameter_of_all_pairs_and_the_same_numbers_flipped(
    mask: np.ndarray, affine: np.ndarray
) -> None:
    grid = VolumeGeometry(mask.shape, affine)
    found = measure_shape(mask, grid)
    at = np.argwhere(mask)
    steps = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    for expected, used in ((found.diameter, steps), (found.slice_diameter, steps[[1, 2, 4, 5]])):
        ends = [(one, grid.to_lps(one + step)) for one in at for step in used]
        pairs = combinations(ends, 2)
        if used is not steps:
            pairs = (pair for pair in pairs if pair[0][0][0] == pair[1][0][0])  # type: ignore[assignment]
        longest = max((float(np.linalg.norm(a[1] - b[1])) for a, b in pairs), default=0.0)
        assert expected == pytest.approx(longest, abs=1e-6)
    for axis in range(3):
        flipped = measure_shape(np.flip(mask, axis), grid)
        assert flipped.surface == pytest.approx(found.surface)
        assert flipped.diameter == pytest.approx(found.diameter)
    assert found.volume == pytest.approx(len(at) * np.prod(grid.spacing) / 1000)


@pytest.mark.slow
def test_a_sphere_in_an_oblique_anisotropic_grid() -> None:
    grid = VolumeGeometry((40, 60, 80), oblique((0.3, -0.2, 0.5), (1.5, 1, 0.75), (0, 0, 0)))
    centre = grid.to_lps([20, 30, 40])
    at = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    mask = np.linalg.norm(grid.to_lps(at) - centre, axis=-1) <= 20
    found = measure_shape(mask, grid)
    assert found.volume == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.01)
    assert found.diameter == pytest.approx(40, abs=1.5)
    assert found.slice_diameter == pytest.approx(40, abs=1.5)
    # The steps of a surface between voxels add to its area, as in every mesh of marching cubes.
    assert 1.0 < found.surface / (4 * np.pi * 20**2) < 1.12
    assert measure_shape(mask[:, ::-1], grid).voxels == found.voxels == np.count_nonzero(mask)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, st.integers(0, 50), elements=st.floats(-1e6, 1e6) | st.just(float("nan"))))
def test_values_are_those_of_numpy(values: np.ndarray) -> None:
    found = summarize(values, padding=(-3, -1))
    kept = [one for one in values.tolist() if one == one and not -3 <= one <= -1]
    if not kept:
        assert found is None
        return
    assert found is not None
    assert (found.count, found.minimum, found.maximum) == (len(kept), min(kept), max(kept))
    assert found.mean == pytest.approx(np.mean(kept))
    assert found.deviation == pytest.approx(np.std(kept), abs=1e-6)
    assert found.median == pytest.approx(np.median(kept))
    assert found.percentiles == pytest.approx(np.quantile(kept, [0.05, 0.1, 0.25, 0.75, 0.9, 0.95]))


def test_the_peak_is_the_best_mean_of_a_millilitre() -> None:
    random = np.random.default_rng(7)
    grid = VolumeGeometry((9, 10, 11), oblique((0.1, 0.4, -0.3), (3, 2, 2.5), (5, 5, 5)))
    array = random.normal(5, 2, grid.shape)
    chosen = np.argwhere(random.random(grid.shape) < 0.2)
    centres = grid.to_lps(np.argwhere(np.ones(grid.shape, bool)))
    radius = (3 / 4 / np.pi) ** (1 / 3) * 10
    best = max(
        array.reshape(-1)[np.linalg.norm(centres - grid.to_lps(one), axis=1) <= radius].mean()
        for one in chosen
    )
    assert peak(array, grid, chosen) == pytest.approx(best)


PET = {
    "SOPClassUID": PositronEmissionTomographyImageStorage,
    "Modality": "PT",
    "Units": "BQML",
    "CorrectedImage": ["ATTN", "DECY", "SCAT"],
    "DecayCorrection": "START",
    "PatientWeight": "70",
    "SeriesDate": "20240102",
    "SeriesTime": "100000",
    "AcquisitionDate": "20240102",
    "AcquisitionTime": "100000",
    "RescaleSlope": "2",
    "RescaleIntercept": "0",
}


def pet(**changed: Any) -> list[Dataset]:
    drug = Dataset()
    drug.RadionuclideTotalDose = "350000000"
    drug.RadionuclideHalfLife = "6588"
    drug.RadiopharmaceuticalStartTime = "090000"
    for keyword in ("RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime"):
        if keyword in changed:
            setattr(drug, keyword, changed.pop(keyword))
    array = np.arange(6 * 10 * 12, dtype=np.int16).reshape(6, 10, 12)
    made = scan(array, RadiopharmaceuticalInformationSequence=[drug], **{**PET, **changed})
    return [one.dataset for one in made]


FACTOR = 70 * 1000 / (350e6 * 2 ** (-3600 / 6588))


def witnessed(
    day: str, series: str, acquired: str, weight: float, dose: int, half_life: float, given: str
) -> Dataset:
    image, drug = Dataset(), Dataset()
    image.SeriesDate = image.AcquisitionDate = day
    image.SeriesTime, image.AcquisitionTime = series, acquired
    image.PatientWeight = weight
    image.CorrectedImage = ["ATTN", "DECY"]
    image.Units, image.DecayCorrection = "BQML", "START"
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = dose, half_life
    drug.RadiopharmaceuticalStartDateTime = f"{day}{given}"
    image.RadiopharmaceuticalInformationSequence = [drug]
    return image


def test_factors_are_those_of_another_program() -> None:
    """The values are those that @cornerstonejs/calculate-suv 1.1.0 computes from the same headers."""
    plain = witnessed("20240712", "124907", "125007", 96.6, 411856516, 6586.2, "123753")
    assert body_weight_factor(plain) == pytest.approx(0.00025178922758890436, rel=1e-9)
    processed = witnessed("20241207", "133819", "132053", 114.9, 231905969, 1220, "121901")
    processed.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20241207131826")
    assert body_weight_factor(processed) == pytest.approx(0.0037554088753329394, rel=1e-9)
    counts = witnessed("20240318", "103920", "104216", 58.8, 341017963, 6586.2, "100717")
    counts.Units = "CNTS"
    block = counts.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x09, "DS", "2.1845")
    assert body_weight_factor(counts) == pytest.approx(0.0004611530545411559, rel=1e-9)
    block.add_new(0x00, "DS", "0.0006976")
    assert body_weight_factor(counts) == pytest.approx(0.0006976, rel=1e-9)


@pytest.mark.parametrize(
    ("sex", "size", "expected"),
    [
        (
            "F",
            "1.62",
            {"LBM": 0.00019723655942201156, "LBMJANMA": 0.00017711361177455702, "BSA": 7.292234016724022e-05},
        ),
        (
            "M",
            "1.85",
            {"LBM": 0.0002496160772396651, "LBMJANMA": 0.0002439884074449027, "BSA": 8.029004749093148e-05},
        ),
    ],
)
def test_lean_body_mass_and_surface_are_those_of_another_program(
    sex: str, size: str, expected: dict[str, float]
) -> None:
    """The values are those that @cornerstonejs/calculate-suv 1.1.0 computes from the same header."""
    datasets = pet(PatientSex=sex, PatientSize=size)
    volume = Volume.from_instances(datasets)
    for suv_type, factor in expected.items():
        found = to_suv(volume, datasets, suv_type)
        assert found.suv_type == suv_type
        assert found.array.max() / volume.array.max() == pytest.approx(factor, rel=1e-9)


@pytest.mark.slow
def test_uptake_of_one_type_becomes_that_of_another() -> None:
    counts = pet(Units="CNTS", PatientSex="M", PatientSize="1.85")
    for one in counts:
        one.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "0.25")
    volume = Volume.from_instances(counts)
    plain = to_suv(volume, counts)
    assert (plain.suv_type, plain.array.max()) == ("BW", volume.array.max() * 0.25)
    mass = 1.1 * 70 - 128 * (70 / 185) ** 2
    lean = to_suv(volume, counts, "LBMJAMES128")
    assert lean.array.max() == pytest.approx(plain.array.max() * mass / 70)
    assert to_suv(lean, counts) is lean
    assert to_suv(lean, counts, "BW").array.max() == pytest.approx(plain.array.max())
    # Units and SUV Type of the scanner are what the values are in.
    for stated, suv_type in (({"Units": "GML"}, "BW"), ({"Units": "CM2ML"}, "BSA")):
        own = pet(PatientSex="M", PatientSize="1.85", **stated)
        assert to_suv(Volume.from_instances(own), own).suv_type == suv_type
    wrong = pet(Units="GML", SUVType="BSA", PatientSex="M", PatientSize="1.85")
    with pytest.raises(GeometryError, match="not those of their SUV Type"):
        to_suv(Volume.from_instances(wrong), wrong)
    odd = pet(Units="GML", SUVType="IBW", PatientSex="M", PatientSize="1.85")
    with pytest.raises(GeometryError, match="in SUV of the type 'IBW'"):
        to_suv(Volume.from_instances(odd), odd, "LBMJANMA")


@pytest.mark.slow
@pytest.mark.parametrize("suv_type", ["LBM", "LBMJAMES128", "LBMJANMA", "BSA"])
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"PatientSize": None}, "size is not stated"),
        ({"PatientSize": "0"}, "size is not stated"),
        ({"PatientSize": "185"}, "size is stated as 185 m"),
        ({"PatientWeight": None}, "weight is not stated"),
        ({"RadionuclideTotalDose": None}, "injected dose is not stated"),
        ({"PatientSex": "O"}, "sex is not stated as male or female"),
        ({"PatientSex": None}, "sex is not stated as male or female"),
        ({"PatientWeight": "290", "PatientSize": "1.5"}, "no mass for 290 kg at 1.5 m"),
    ],
)
def test_no_uptake_by_lean_mass_or_surface_without_its_inputs(
    suv_type: str, changed: dict[str, Any], sentence: str
) -> None:
    datasets = pet(**{"PatientSex": "F", "PatientSize": "1.7", **changed})
    volume = Volume.from_instances(datasets)
    if (suv_type == "BSA" and "sex" in sentence) or (
        suv_type in ("BSA", "LBMJANMA") and "no mass" in sentence
    ):
        assert to_suv(volume, datasets, suv_type).suv_type == suv_type
        return
    with pytest.raises(GeometryError, match=sentence):
        to_suv(volume, datasets, suv_type)


@pytest.mark.parametrize("modality", ["PT", "NM", "OT"])
@pytest.mark.parametrize("stated", ["GML", "CM2ML", "SUV"])
def test_a_rescale_type_makes_no_uptake(modality: str, stated: str) -> None:
    made = scan(
        np.ones((3, 4, 5), np.int16),
        Modality=modality,
        RescaleSlope="1",
        RescaleIntercept="0",
        RescaleType=stated,
    )
    volume = Volume.from_instances([one.data for one in made])
    assert (volume.units, volume.suv_type) == ("", "")


def test_uptake_by_surface_has_its_unit_and_no_glycolysis() -> None:
    datasets = pet(PatientSize="1.7")
    volume = Volume.from_instances(datasets)
    drawn = Segmentation.from_array(np.ones(volume.array.shape, np.uint8), volume, names=["lesion"])
    (found,) = segment_statistics(drawn, to_suv(volume, datasets, "BSA"))
    assert (found.quantity.value, found.unit.value) == ("126400", "cm2/ml{SUVbsa}")
    assert found.peak is not None
    assert found.glycolysis is None


@pytest.mark.slow
def test_body_weight_factors() -> None:
    assert body_weight_factor(pet()[0]) == pytest.approx(FACTOR)
    assert body_weight_factor(pet(DecayCorrection="ADMIN")[0]) == pytest.approx(70_000 / 350e6)
    mouse = pet(PatientWeight="0.025", RadionuclideTotalDose="5000000")
    assert body_weight_factor(mouse[0]) == pytest.approx(25 / (5e6 * 2 ** (-3600 / 6588)))
    over_midnight = pet(SeriesTime="003000", AcquisitionTime="003000", RadiopharmaceuticalStartTime="233000")
    assert body_weight_factor(over_midnight[0]) == pytest.approx(FACTOR)
    # A series that was processed later: the start is computed back from the frame's own times.
    half = 120 / 2
    later = pet(SeriesTime="150000", AcquisitionTime="100500", FrameReferenceTime=str((300 + half) * 1000))
    for one in later:
        one.ActualFrameDuration = "120000"
    assert body_weight_factor(later[0]) == pytest.approx(FACTOR, rel=1e-4)
    counts = pet(Units="CNTS")[0]
    block = counts.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x09, "DS", "3")
    assert body_weight_factor(counts) == pytest.approx(3 * FACTOR)
    block.add_new(0x00, "DS", "0.25")
    assert body_weight_factor(counts) == 0.25


@pytest.mark.parametrize(
    ("changed", "background"),
    [
        ({}, 3600),  # DRO_0_0, DRO_1_0
        ({"Units": "CNTS", "scale": (0x1000, "0.0005")}, 2000),  # DRO_2_4
        ({"Units": "CNTS", "scale": (0x1009, "0.5")}, 7200),  # DRO_2_5
        ({"DecayCorrection": "ADMIN"}, 5258),  # DRO_3_1
        (  # DRO_3_2
            {
                "SeriesTime": "113000",
                "AcquisitionTime": "110500",
                "FrameReferenceTime": "600000",
                "ActualFrameDuration": "603000",
            },
            3600,
        ),
        ({"AcquisitionTime": "113000", "Manufacturer": "GE MEDICAL SYSTEMS"}, 3600),  # DRO_3_3
        (  # DRO_4_2
            {
                "SeriesTime": "003000",
                "AcquisitionTime": "003000",
                "RadiopharmaceuticalStartTime": "233000",
            },
            3600,
        ),
        ({"RadionuclideHalfLife": "4057.7"}, 2843),  # DRO_5_0
    ],
)
def test_the_published_values_of_the_oncoray_phantoms(changed: dict[str, Any], background: float) -> None:
    """Headers as theirs (github.com/oncoray/suv_computation): their background is published as SUV 1.00."""
    scale = changed.pop("scale", None)
    theirs = {
        "SeriesTime": "110000",
        "AcquisitionTime": "110000",
        "RadiopharmaceuticalStartTime": "100000",
        "RadionuclideTotalDose": "368080000",
        "RadionuclideHalfLife": "6586.2",
        "PatientWeight": "70",
    }
    image = pet(**{**theirs, **changed})[0]
    if scale is not None:  # without a Private Creator; that of another maker means nothing
        image.add_new((0x7053, scale[0]), "DS", scale[1])
        image.Manufacturer = "Other"
        with pytest.raises(GeometryError, match="scale factor of counts is not stated"):
            body_weight_factor(image)
        image.Manufacturer = "Philips Medical Systems"
    assert background * body_weight_factor(image) == pytest.approx(1.0, rel=2e-4)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"PatientWeight": None}, "the patient's weight is not stated"),
        ({"PatientWeight": "0"}, "the patient's weight is not stated"),
        ({"RadionuclideTotalDose": None}, "the injected dose is not stated"),
        ({"RadionuclideHalfLife": None}, "the half-life is not stated"),
        ({"RadiopharmaceuticalStartTime": None}, "the time of the injection is not stated"),
        ({"CorrectedImage": ["DECY"]}, "not corrected for attenuation"),
        ({"CorrectedImage": ["ATTN"]}, "not corrected for decay"),
        ({"DecayCorrection": "NONE"}, "the time that decay is corrected to is not stated"),
        ({"Units": "CNTS"}, "the vendor's scale factor of counts is not stated"),
        ({"Units": "PROPCPS"}, "in PROPCPS, not Bq/ml"),
        ({"SeriesTime": "110000"}, "the start of the scan is not stated"),
        ({"RadionuclideTotalDose": "350"}, "stated as 350 Bq and the weight as 70 kg"),  # in MBq
        ({"RadionuclideTotalDose": "350000"}, "cannot both be true"),  # in kBq
        ({"PatientWeight": "70000"}, "stated as 3.5e.08 Bq and the weight as 70000 kg"),  # in g
        ({"RadionuclideHalfLife": "109.8"}, "32.8 half-lives after the injection"),  # in minutes
        ({"RadiopharmaceuticalStartTime": "110000"}, "12.6 half-lives"),  # after the scan
    ],
)
def test_no_uptake_without_its_inputs(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GeometryError, match=sentence):
        body_weight_factor(pet(**changed)[0])


@pytest.mark.slow
def test_the_injection_is_read_in_the_time_zone_of_the_scan() -> None:
    """08:00 UTC is 09:00 in a scanner's time of +0100, in which the scan began at 10:00."""
    for zone, injected in (
        ("+0100", "20240102080000+0000"),
        ("-0500", "20240102140000.5+0000"),
        ("-0500", "20240102090000-0500"),
        ("+1300", "20240101200000+0000"),
        ("", "20240102090000+0100"),
        ("+0100", "20240102090000"),
    ):
        image = pet(TimezoneOffsetFromUTC=zone)[0]
        (drug,) = image.RadiopharmaceuticalInformationSequence
        drug.RadiopharmaceuticalStartDateTime = injected
        assert body_weight_factor(image) == pytest.approx(FACTOR, rel=1e-4)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("20240102080000", "the time of the injection is stated as 08:00:00 and as 09:00:00"),
        ("20240102090000+0000", "stated as 10:00:00 and as 09:00:00"),  # in the scan's zone of +0100
    ],
)
def test_an_injection_at_two_times_makes_no_uptake(given: str, sentence: str) -> None:
    image = pet(TimezoneOffsetFromUTC="+0100")[0]
    image.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = given
    with pytest.raises(GeometryError, match=sentence):
        body_weight_factor(image)


@pytest.mark.parametrize(
    "other",
    [
        {"RadionuclideTotalDose": "100000000"},
        {"RadiopharmaceuticalStartTime": "093000"},
        {"RadionuclideHalfLife": "1220"},
    ],
)
def test_several_injections_make_no_uptake(other: dict[str, str]) -> None:
    image = pet()[0]
    (one,) = image.RadiopharmaceuticalInformationSequence
    image.RadiopharmaceuticalInformationSequence = [one, deepcopy(one)]
    assert body_weight_factor(image) == pytest.approx(FACTOR)  # the same one, stated twice
    for keyword, value in other.items():
        setattr(image.RadiopharmaceuticalInformationSequence[1], keyword, value)
    with pytest.raises(GeometryError, match="state several injections"):
        body_weight_factor(image)
    del image.RadiopharmaceuticalInformationSequence[1].RadionuclideTotalDose  # a drug that does not radiate
    assert body_weight_factor(image) == pytest.approx(FACTOR)


def test_segments_of_pet_have_their_uptake_and_units() -> None:
    datasets = pet()
    volume = Volume.from_instances(datasets)
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[1:4, 2:7, 3:9] = 1
    drawn = Segmentation.from_array(labels, volume, names=["lesion"])
    (plain,) = segment_statistics(drawn, volume)
    assert (plain.unit.value, plain.peak, plain.glycolysis) == ("Bq/ml", None, None)
    (found,) = segment_statistics(drawn, to_suv(volume, datasets))
    assert (found.quantity.value, found.unit.value) == ("126400", "g/ml{SUVbw}")
    expected = volume.array[labels > 0] * FACTOR
    assert found.values is not None
    assert (found.values.mean, found.values.maximum) == pytest.approx((expected.mean(), expected.max()))
    assert found.metabolic_volume == pytest.approx(90 * 0.7 * 0.7 * 2 / 1000)
    assert found.glycolysis == pytest.approx(expected.mean() * 90 * 0.98 / 1000)
    assert found.peak is not None
    assert found.peak <= volume.array.max() * FACTOR


def test_other_frames_of_reference_and_colour_are_refused() -> None:
    volume = Volume.from_instances([one.data for one in scan(np.ones((4, 5, 6), np.int16))])
    drawn = Segmentation.from_array(np.ones((4, 5, 6), np.uint8), volume)
    assert drawn.frame_of_reference
    with pytest.raises(GeometryError, match="different frames of reference"):
        list(segment_statistics(replace(drawn, frame_of_reference="1.2.3"), volume))
    with pytest.raises(GeometryError, match="position in the patient"):
        list(segment_statistics(drawn, replace(volume, spatial=False)))


def test_an_empty_segment_has_no_values() -> None:
    volume = Volume.from_instances([one.data for one in scan(np.ones((4, 5, 6), np.int16))])
    drawn = Segmentation.from_array(np.zeros((1, 4, 5, 6), np.uint8), volume)
    (found,) = segment_statistics(drawn, volume)
    assert (found.values, found.shape.voxels, found.shape.diameter) == (None, 0, 0)
