"""Which instances form which volume, and where it lies."""

from __future__ import annotations

import random
from copy import deepcopy

import numpy as np
import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage, generate_uid

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import VolumeGeometry, plane_positions, planes_of, split_series
from dicomdock.imaging.source_images import place_sources
from tests.builders import composite
from tests.conftest import shared_data
from tests.imaging.scans import AXIAL, ds, grid, headers, oblique, place, scan


def header(geometry: VolumeGeometry, k: int, **attributes: object) -> Dataset:
    """Make one header without pixels."""
    dataset = composite(
        MRImageStorage, FrameOfReferenceUID="1.2", SeriesInstanceUID="1.3", StudyInstanceUID="1.4"
    )
    dataset.Modality = "MR"
    dataset.Rows, dataset.Columns = geometry.shape[1:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.InstanceNumber = k + 1
    place(dataset, geometry, k)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def stack(geometry: VolumeGeometry | None = None, **attributes: object) -> list[Dataset]:
    geometry = geometry or grid()
    return [header(geometry, k, **attributes) for k in range(geometry.shape[0])]


angles = st.tuples(*[st.floats(-1.5, 1.5)] * 3)
spacings = st.tuples(*[st.floats(0.2, 9)] * 3)
origins = st.tuples(*[st.floats(-500, 500)] * 3)


@pytest.mark.slow
@given(angles, spacings, origins, st.integers(2, 9), st.randoms(use_true_random=False))
def test_any_oblique_stack_is_found_whatever_the_order(
    turned: tuple[float, ...],
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    count: int,
    shuffle: random.Random,
) -> None:
    geometry = VolumeGeometry((count, 5, 7), oblique(turned, spacing, origin))
    instances = stack(geometry)
    due = [str(one.SOPInstanceUID) for one in instances]
    shuffle.shuffle(instances)

    (plan,) = split_series(instances)

    assert plan.spatial
    assert plan.shape == (count, 5, 7)
    assert np.allclose(plan.geometry.affine, geometry.affine, atol=1e-4)
    assert list(plan.instances) == due
    assert plan.remarks == ()


def test_slices_run_along_the_normal_so_that_no_volume_is_mirrored() -> None:
    (plan,) = split_series(reversed(stack()))
    assert np.linalg.det(plan.geometry.ijk_to_ras[:3, :3]) > 0
    assert plan.planes[0] is not None
    assert plan.planes[0].origin == pytest.approx(grid().origin)


def test_missing_slices_are_reported_and_keep_their_place() -> None:
    geometry = grid((40, 4, 4))
    instances = stack(geometry)
    gone = {str(instances[k].SOPInstanceUID) for k in (7, 8)}
    (plan,) = split_series(instances[:7] + instances[9:])
    assert plan.shape == (40, 4, 4)
    assert [k for k, plane in enumerate(plan.planes) if plane is None] == [7, 8]
    assert not gone & set(plan.instances)
    assert "2 slices are missing" in plan.remarks[0]
    assert "8, 9 of 40" in plan.remarks[0]


def test_irregular_gaps_are_refused_with_the_instances_between_which_they_lie() -> None:
    instances = stack(grid((8, 4, 4)))
    for k, z in enumerate([0, 2, 4.7, 5.9, 8, 11.3, 12, 14]):
        instances[k].ImagePositionPatient = ["0", "0", str(z)]
    (plan,) = split_series(instances)
    assert not plan.spatial
    assert plan.problem is not None
    assert "from 0.700 to 3.300 mm" in plan.problem.reason
    assert str(instances[2].SOPInstanceUID) in plan.problem.instances
    with pytest.raises(GeometryError, match="varies"):
        plan.require_spatial()


def test_two_zones_of_spacing_become_two_volumes() -> None:
    instances = stack(grid((9, 4, 4)))
    for k, z in enumerate([0, 2.5, 5, 7.5, 10, 15, 20, 25, 30]):
        instances[k].ImagePositionPatient = ["0", "0", str(z)]
    first, second = split_series(instances)
    assert (first.shape[0], second.shape[0]) == (5, 4)
    assert first.geometry.spacing[0] == pytest.approx(2.5)
    assert second.geometry.spacing[0] == pytest.approx(5)
    assert "spacing changes" in first.remarks[-1]


def test_a_tilted_gantry_is_reported_and_kept_in_the_affine() -> None:
    affine = AXIAL.copy()
    affine[:3, 0] = (0, 2 * np.tan(np.radians(12)), 2)
    (plan,) = split_series(stack(grid(affine=affine)))
    assert plan.spatial
    assert plan.geometry.sheared
    assert plan.geometry.tilt == pytest.approx(12, abs=1e-3)
    assert np.allclose(plan.geometry.affine, affine, atol=1e-6)
    assert "tilted by 12.0 degrees" in plan.remarks[0]


def test_slices_that_wander_sideways_are_no_volume() -> None:
    instances = stack()
    instances[3].ImagePositionPatient = ds(grid().to_lps([3, 0, 0]) + np.array([5, 0, 0]))
    (plan,) = split_series(instances)
    assert plan.problem is not None
    assert plan.problem.instances == (str(instances[3].SOPInstanceUID),)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.tuples(*[st.floats(-1.5, 1.5)] * 3),
    st.sampled_from([(1, 7.0), (1, 3.3), (1, 1.0), (2, 0.6), (2, 0.3), (3, 0.05)]),
    st.integers(5, 60),
    st.tuples(*[st.floats(-200, 200)] * 3),
)
@example((0.5, -0.00011192095004616375, -1.0), (3, 0.05), 13, (0.0, 42.742426724565036, 0.0))
@example((0.5, 0.0006551146301909996, 0.5), (1, 1.0), 56, (56.648037, 23.9401077, -72.22662))
@example(
    (-0.0009514917140, 0.0017368096393, -0.9123824853494), (3, 0.05), 7, (-134.206271909, 0.0, 197.9368138)
)
def test_positions_that_are_rounded_still_form_a_volume(
    angles: tuple[float, ...], given_in: tuple[int, float], count: int, origin: tuple[float, ...]
) -> None:
    decimals, gap = given_in
    geometry = grid((count, 5, 7), oblique(angles, (gap, 0.9, 0.9), origin))
    instances = stack(geometry)
    for k, instance in enumerate(instances):
        position = geometry.to_lps([k, 0, 0])
        instance.ImagePositionPatient = [f"{value:.{decimals}f}" for value in position]
    (plan,) = split_series(instances)
    assert plan.problem is None
    assert list(plan.instances) == [str(one.SOPInstanceUID) for one in instances]
    assert plan.remarks == ()
    assert not plan.geometry.sheared
    ends = [[0, 0, 0], [count - 1, 0, 0]]
    assert np.abs(plan.geometry.to_lps(ends) - geometry.to_lps(ends)).max() < 10**-decimals
    placed = place_sources(plan.geometry, instances)
    assert len(placed.slices) == count


@pytest.mark.slow
@settings(max_examples=15)
@given(
    st.tuples(*[st.floats(0.1, 0.6)] * 3),
    st.sampled_from([7.0, 3.3, 2.0]),
    st.integers(5, 20),
    st.tuples(*[st.floats(-0.05, 0.05)] * 3),
)
def test_positions_that_are_rounded_and_then_shifted_still_form_a_volume(
    angles: tuple[float, ...], gap: float, count: int, shift: tuple[float, ...]
) -> None:
    """A GE scanner states -72.7575, -65.7575, -58.8575: steps of 0.1 mm behind four decimals."""
    geometry = grid((count, 5, 7), oblique(angles, (gap, 0.9, 0.9), (10, -20, 30)))
    instances = stack(geometry)
    for k, instance in enumerate(instances):
        position = np.round(geometry.to_lps([k, 0, 0]), 1) + shift
        instance.ImagePositionPatient = [f"{value:.4f}" for value in position]
    (plan,) = split_series(instances)
    assert plan.problem is None
    assert list(plan.instances) == [str(one.SOPInstanceUID) for one in instances]
    ends = [[0, 0, 0], [count - 1, 0, 0]]
    assert np.abs(plan.geometry.to_lps(ends) - geometry.to_lps(ends) - shift).max() < 0.1
    assert len(place_sources(plan.geometry, instances).slices) == count


def test_rounding_and_a_shift_explain_no_irregular_gaps() -> None:
    geometry = grid((12, 5, 7), oblique((0.3, 0.2, 0.1), (1, 0.9, 0.9), (0, 0, 0)))
    instances = stack(geometry)
    for at, instance in enumerate(instances):
        position = np.round(geometry.to_lps([3 * at + (at % 3) * 0.6, 0, 0]), 1) + 0.0123
        instance.ImagePositionPatient = [f"{value:.4f}" for value in position]
    (plan,) = split_series(instances)
    assert plan.problem is not None


def test_whole_millimetres_hide_no_change_of_spacing() -> None:
    instances = stack(grid((9, 4, 4)))
    for k, z in enumerate([0, 1, 2, 3, 4, 6, 8, 10, 12]):
        instances[k].ImagePositionPatient = ["0", "0", str(z)]
    assert [plan.shape[0] for plan in split_series(instances)] == [5, 4]
    for k, z in enumerate([0, 3, 4, 7, 8, 11, 12, 15, 16]):
        instances[k].ImagePositionPatient = ["0", "0", str(z)]
    (plan,) = split_series(instances)
    assert plan.problem is not None


@pytest.mark.parametrize(
    ("keyword", "values", "label"),
    [
        ("EchoTime", (10, 80), "echo time 80"),
        ("DiffusionBValue", (0.0, 1000.0), "b 1000"),
        ("TemporalPositionIdentifier", (1, 2), "time point 2"),
        (
            "ImageType",
            (["ORIGINAL", "PRIMARY", "IN_PHASE"], ["ORIGINAL", "PRIMARY", "OUT_PHASE"]),
            "OUT_PHASE",
        ),
        ("TriggerTime", (20, 420), "trigger time 420"),
        ("AcquisitionNumber", (1, 2), "acquisition 2"),
    ],
)
def test_what_tells_images_at_one_place_apart_splits_them(
    keyword: str, values: tuple[object, object], label: str
) -> None:
    instances = stack(**{keyword: values[0]}) + stack(**{keyword: values[1]})
    random.Random(1).shuffle(instances)
    plans = split_series(instances)
    assert [plan.shape[0] for plan in plans] == [6, 6]
    assert label in {plan.label for plan in plans}


def test_two_facets_at_once() -> None:
    instances = [
        one for echo in (10, 80) for time in (1, 2, 3)
        for one in stack(EchoTime=echo, TemporalPositionIdentifier=time)
    ]  # fmt: skip
    plans = split_series(instances)
    assert {plan.label for plan in plans} == {
        f"echo time {e}, time point {t}" for e in (10, 80) for t in (1, 2, 3)
    }


def test_a_clock_that_runs_from_slice_to_slice_does_not_tear_slices_apart() -> None:
    instances = [
        header(grid(), k, AcquisitionTime=f"1200{t:02}.{k}", TriggerTime=t * 40 + k, InstanceNumber=t * 6 + k)
        for t in range(3) for k in range(6)
    ]  # fmt: skip
    plans = split_series(instances)
    assert [plan.shape[0] for plan in plans] == [6, 6, 6]
    assert [plan.planes[0].split_keys["TriggerTime"] for plan in plans if plan.planes[0]] == [0, 40, 80]
    assert [plan.label for plan in plans] == ["repetition 1", "repetition 2", "repetition 3"]


def test_a_slice_sent_twice_is_set_apart_and_the_volume_stays_whole() -> None:
    plans = split_series([*stack(), header(grid(), 2, InstanceNumber=99)])
    assert [plan.shape[0] for plan in plans] == [6, 1]


def test_coincident_planes_are_refused_by_name() -> None:
    planes = [plane for one in [*stack(), header(grid(), 2)] for plane in planes_of(one)]
    with pytest.raises(GeometryError, match="already holds") as caught:
        plane_positions(planes)
    assert len(caught.value.instances) == 2


def test_localizers_orientations_and_sizes_are_apart() -> None:
    sagittal = grid((3, 10, 12), oblique((0, 1.5707963, 0), (4, 1, 1), (0, 0, 0)))
    small = grid((4, 5, 6))
    scout = stack(grid((1, 10, 12)), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    plans = split_series([*scout, *stack(), *stack(sagittal), *stack(small)])
    assert [plan.shape for plan in plans] == [(6, 10, 12), (4, 5, 6), (3, 10, 12), (1, 10, 12)]
    assert plans[-1].lead.localizer


def test_instances_without_images_are_left_out_with_a_word() -> None:
    report = composite("1.2.840.10008.5.1.4.1.1.88.11")
    (plan,) = split_series([report, *stack()])
    assert "1 instances of the series are left out" in plan.remarks[0]
    with pytest.raises(GeometryError, match="not an image") as caught:
        split_series([report])
    assert caught.value.instances == (str(report.SOPInstanceUID),)
    with pytest.raises(GeometryError, match="no instances"):
        split_series([])


def test_secondary_captures_are_a_stack_without_a_place_in_the_patient() -> None:
    captures = []
    for number in (3, 1, 2):
        capture = composite(SecondaryCaptureImageStorage, InstanceNumber=number, Rows=4, Columns=5)
        capture.BitsAllocated = capture.BitsStored = 8
        captures.append(capture)
    (plan,) = split_series(captures)
    assert not plan.spatial
    assert plan.problem is None
    assert [plane.number for plane in plan.planes if plane] == [1, 2, 3]
    assert plan.geometry.spacing == (1, 1, 1)
    with pytest.raises(GeometryError, match="no position"):
        plan.require_spatial()


@pytest.mark.parametrize(
    ("attributes", "dtype"),
    [
        ({"BitsStored": 12}, "int16"),
        ({"BitsStored": 16}, "uint16"),
        ({"BitsStored": 16, "PixelRepresentation": 1}, "int16"),
        ({"BitsAllocated": 8, "BitsStored": 8}, "uint8"),
        ({"BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": -1024}, "int16"),
        ({"BitsStored": 16, "RescaleSlope": 1, "RescaleIntercept": -1024}, "int32"),
        ({"BitsStored": 16, "RescaleSlope": 1, "RescaleIntercept": -1024, "Modality": "CT"}, "int32"),
        ({"BitsStored": 12, "RescaleSlope": 0.5, "RescaleIntercept": 0}, "float32"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "uint32"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "uint8"),
    ],
)
def test_the_type_is_the_smallest_that_holds_all_values(attributes: dict[str, object], dtype: str) -> None:
    (plan,) = split_series(stack(**attributes))
    assert plan.dtype == np.dtype(dtype)
    assert plan.shape == ((6, 10, 12, 3) if "SamplesPerPixel" in attributes else (6, 10, 12))


def test_slots_lead_each_instance_to_its_slice() -> None:
    instances = stack()
    (plan,) = split_series(instances)
    assert plan.slots == {(str(one.SOPInstanceUID), 1): k for k, one in enumerate(instances)}
    assert plan.places(str(instances[4].SOPInstanceUID)) == {1: 4}
    assert plan.places("1.9.9") == {}


def test_window_units_and_inversion_come_from_the_header() -> None:
    told = {
        "WindowCenter": [40, 300],
        "WindowWidth": [400, 1500],
        "WindowCenterWidthExplanation": ["SOFT", "BONE"],
        "PhotometricInterpretation": "MONOCHROME1",
        "Units": "BQML",
    }
    (plan,) = split_series(stack(**told))
    assert [(w.center, w.width, w.name) for w in plan.windows] == [(40, 400, "SOFT"), (300, 1500, "BONE")]
    assert plan.inverted
    assert plan.units == "BQML"


@pytest.mark.parametrize(
    "broken",
    [
        {"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]},
        {"ImageOrientationPatient": ["2", "0", "0", "0", "2", "0"]},
        {"ImagePositionPatient": ["1", "2"]},
        {"PixelSpacing": ["0", "0"]},
        {"ImagePositionPatient": None},
    ],
)
def test_a_header_that_cannot_be_right_gives_a_stack_and_no_crash(broken: dict[str, object]) -> None:
    (plan,) = split_series(stack(**broken))
    assert not plan.spatial


def test_geometry_goes_to_slicer_and_back() -> None:
    geometry = grid((3, 4, 5), oblique((0.2, -0.4, 1.1), (3, 0.5, 0.7), (10, -20, 30)))
    again = VolumeGeometry.from_ijk_to_ras(geometry.shape, geometry.ijk_to_ras)
    assert again.matches(geometry)
    i, j, k = 4, 2, 1
    ras = geometry.ijk_to_ras @ [i, j, k, 1]
    assert np.allclose(ras[:3], np.array(geometry.to_lps([k, j, i])) * [-1, -1, 1])
    assert np.allclose(geometry.to_index(geometry.to_lps([k, j, i])), [k, j, i])


def test_grids_know_whether_they_share_voxels() -> None:
    geometry = grid((6, 10, 12))
    part = geometry.part((1, 2, 3), (4, 8, 9))
    assert part.shape == (3, 6, 6)
    assert geometry.offset_of(part) == (1, 2, 3)
    assert not geometry.matches(part)
    assert geometry.offset_of(grid(affine=AXIAL + np.eye(4)[:, [3, 0, 1, 2]] * 0.2)) is None
    with pytest.raises(GeometryError):
        VolumeGeometry((1, 1, 1), np.zeros((4, 4)))


def real(*parts: str) -> list[Dataset]:
    folder = shared_data(*parts)
    return [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted(folder.glob("*.dcm"))]


@pytest.mark.slow
def test_a_real_oblique_head() -> None:
    (plan,) = split_series(real("mr-head"))
    assert plan.shape == (384, 384, 274)
    assert plan.spatial
    assert not plan.geometry.sheared
    assert plan.geometry.spacing == pytest.approx((0.6667, 0.6667, 0.7), abs=1e-4)
    assert plan.dtype == np.int16


def test_a_scan_of_the_builder_is_read_from_headers_alone() -> None:
    (plan,) = split_series(headers(scan(np.zeros((3, 4, 5), np.int16), SOPClassUID=CTImageStorage)))
    assert plan.shape == (3, 4, 5)


def test_volumes_of_diffusion_are_in_the_order_in_which_they_were_acquired() -> None:
    gradients = [(0, 0, 0), (0.9, 0.4, 0.1), (-0.5, 0.8, 0.2), (0.1, -0.3, 0.95), (-0.9, 0.1, -0.4)]
    instances = []
    for at, gradient in enumerate(gradients):
        for one in stack(DiffusionBValue=0.0 if not any(gradient) else 1000.0):
            one.DiffusionGradientOrientation = list(gradient)
            one.InstanceNumber = int(one.InstanceNumber) + 100 * at
            instances.append(one)
    random.Random(3).shuffle(instances)
    plans = split_series(instances)
    assert [plan.lead.number // 100 for plan in plans] == [0, 1, 2, 3, 4]


def test_images_that_share_positions_without_a_difference_are_remarked() -> None:
    """A copy under another UID; time points, which are all there, are none."""
    made = [one.dataset for one in scan(np.zeros((6, 8, 9), np.int16))]
    again = [deepcopy(one) for one in made]
    for one in again:
        one.SOPInstanceUID = generate_uid()
    copied = split_series([*made, again[2]])
    assert [len(plan.planes) for plan in copied] == [6, 1]
    assert all("share a position" in " ".join(plan.remarks) for plan in copied)
    assert [plan.remarks for plan in split_series([*made, *again])] == [(), ()]


def test_what_sets_images_apart_is_remarked_and_each_volume_has_a_name() -> None:
    first = [one.dataset for one in scan(np.zeros((6, 8, 9), np.int16))]
    small = [one.dataset for one in scan(np.zeros((3, 4, 9), np.int16))]
    turned = [one.dataset for one in scan(np.zeros((2, 8, 9), np.int16), AXIAL[:, [0, 2, 1, 3]])]
    for one in turned:
        one.FrameOfReferenceUID = first[0].FrameOfReferenceUID
    plans = split_series([*turned, *small, *first])
    assert [plan.label for plan in plans] == ["", "volume 2", "volume 3"]
    assert [plan.remarks for plan in plans] == [
        (),
        ("Its images differ from the others of the series in size, frame of reference.",),
        ("Its images differ from the others of the series in orientation.",),
    ]
    for one in turned:
        one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    assert split_series([*first, *turned])[1].remarks == ()


def test_many_missing_slices_are_called_missing() -> None:
    made = [one.dataset for one in scan(np.zeros((8, 8, 9), np.int16))]
    plans = split_series([*made[:4], *made[5:]])
    assert all(plan.remarks[0].startswith("Slices are missing") for plan in plans)
    for at, one in enumerate(made[5:]):
        one.ImagePositionPatient = [*one.ImagePositionPatient[:2], 30 + 5 * at]
    plans = split_series([*made[:4], *made[5:]])
    assert all("spacing changes" in plan.remarks[0] for plan in plans)
