"""The planes of frames: enhanced instances, diffusion, projections, mosaics, nuclear medicine."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from dicomdock.errors import GeometryError
from dicomdock.imaging.geometry import planes_of, split_series
from dicomdock.imaging.volume import Volume
from tests.builders import composite, made
from tests.imaging.scans import ds, grid, oblique, put_pixels
from tests.imaging.test_geometry import header, real, stack


def test_hostile_frame_counts_are_refused() -> None:
    with pytest.raises(GeometryError, match="frames"):
        split_series(stack(NumberOfFrames=2_000_000_000))


def enhanced(times: int = 2) -> Dataset:
    """Make an enhanced multi-frame header: four slices at each time, in a jumbled order."""
    geometry = grid((4, 10, 12))
    dataset = composite(EnhancedMRImageStorage, Rows=10, Columns=12, FrameOfReferenceUID="1.2.3")
    dataset.BitsAllocated = dataset.BitsStored = 16
    shared = Dataset()
    template = header(geometry, 0)
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = template.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = template.PixelSpacing, template.SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k, time in [(k, t) for k in (2, 0, 3, 1) for t in range(times)]:
        item, position, content, value = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = ds(geometry.to_lps([k, 0, 0]))
        content.TemporalPositionIndex = time + 1
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 2, 1, "US"
        item.PlanePositionSequence, item.FrameContentSequence = [position], [content]
        item.PixelValueTransformationSequence = [value]
        frames.append(item)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.NumberOfFrames = len(frames)
    return dataset


def test_frames_of_an_enhanced_instance_are_planes_like_any_other() -> None:
    dataset = enhanced()
    plans = split_series([dataset])
    assert [plan.label for plan in plans] == ["time point 1", "time point 2"]
    uid = str(dataset.SOPInstanceUID)
    assert plans[0].places(uid) == {3: 0, 7: 1, 1: 2, 5: 3}
    assert plans[1].places(uid) == {4: 0, 8: 1, 2: 2, 6: 3}
    assert plans[0].geometry.matches(grid((4, 10, 12)))
    assert plans[0].dtype == np.int32  # 2 * 65535 + 1
    assert plans[0].lead.pixels.slope == 2


@pytest.mark.slow
def test_real_enhanced_series() -> None:
    siemens = split_series(real("zoo", "enhanced", "Siemens", "XA10"))
    assert [plan.shape for plan in siemens] == [(6, 64, 64)] * 4
    assert [plan.phase["TemporalPosition"] for plan in siemens] == [1, 2, 3, 4]
    philips = split_series(real("zoo", "enhanced", "Philips"))
    assert {plan.label for plan in philips} == {"T1 M", "T1 FIELD_MAP"}


@pytest.mark.parametrize("by_slice", [False, True])
@pytest.mark.parametrize("numbered", [False, True])
def test_frames_of_diffusion_make_volumes_in_the_order_in_which_they_were_acquired(
    by_slice: bool, numbered: bool
) -> None:
    """Images without diffusion come between the others, a direction twice, and two b-values in turn."""
    acquired = [
        *((0.0, None), (1000.0, (1, 0, 0)), (2000.0, (1, 0, 0)), (0.0, None), (1000.0, (0, 1, 0))),
        *((1000.0, (1, 0, 0)), (2000.0, (0, 1, 0)), (0.0, None)),
    ]
    dataset = enhanced(len(acquired))
    frames = dataset.PerFrameFunctionalGroupsSequence
    for frame in frames:
        (content,) = frame.FrameContentSequence
        b_value, gradient = acquired[content.TemporalPositionIndex - 1]
        diffusion, direction = Dataset(), Dataset()
        diffusion.DiffusionBValue = b_value
        if gradient:
            direction.DiffusionGradientOrientation = list(gradient)
            diffusion.DiffusionGradientDirectionSequence = [direction]
        frame.MRDiffusionSequence = [diffusion]
    if not by_slice:
        frames = sorted(frames, key=lambda frame: int(frame.FrameContentSequence[0].TemporalPositionIndex))
        dataset.PerFrameFunctionalGroupsSequence = frames
    if not numbered:
        for frame in frames:
            del frame.FrameContentSequence[0].TemporalPositionIndex
    plans = split_series([dataset])
    found = [
        (plan.phase["DiffusionBValue"], plan.phase.get("DiffusionGradientOrientation")) for plan in plans
    ]
    assert found == acquired
    assert all(len(plan.planes) == 4 for plan in plans)


def test_a_mosaic_is_refused_as_what_it_is() -> None:
    (plan,) = split_series(stack(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]))
    with pytest.raises(GeometryError, match="mosaic"):
        plan.require_spatial()


@pytest.mark.parametrize(
    ("attributes", "side", "orientation"),
    [
        (
            {"ImageLaterality": "R", "ViewPosition": "MLO", "PatientOrientation": ["P", "FL"]},
            "R MLO",
            ("P", "FL"),
        ),
        ({"Laterality": "L", "PatientOrientation": ["A", ""]}, "L", None),
        ({"ImageLaterality": "U", "ViewPosition": "PA", "PatientOrientation": ["L", "F"]}, "PA", ("L", "F")),
        ({"PatientOrientation": ["LE", "V"]}, "", None),  # of a quadruped: no letters of ours
        ({"PatientOrientation": ["R", "PA"], "AnatomicalOrientationType": "QUADRUPED"}, "", None),
        ({"PatientOrientation": "L"}, "", None),
        ({}, "", None),
    ],
)
def test_projections_state_their_side_and_where_their_edges_lead(
    attributes: dict[str, object], side: str, orientation: tuple[str, str] | None
) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.1.2")
    put_pixels(dataset, np.zeros((4, 5), np.uint16))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    (plane,) = planes_of(dataset)
    assert (plane.side, plane.orientation) == (side, orientation)


@pytest.mark.parametrize(
    ("code", "side"), [("399162004", "L CC"), ("R-10226", "L MLO"), ("999", "L axillary tail")]
)
def test_the_view_of_a_mammogram_is_abbreviated_by_its_code(code: str, side: str) -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.1.2", ImageLaterality="L")
    put_pixels(dataset, np.zeros((4, 5), np.uint16))
    item = Dataset()
    item.CodeValue, item.CodeMeaning = code, "axillary tail"
    dataset.ViewCodeSequence = [item]
    assert planes_of(dataset)[0].side == side


def test_a_reconstruction_of_nuclear_medicine_is_a_volume() -> None:
    """Its frames lie from the detector's position on, a spacing apart along the normal (PS3.3 §C.8.4.15)."""
    array = np.random.default_rng(4).integers(0, 900, (4, 6, 7)).astype(np.uint16)
    affine = oblique((0.2, 0.1, -0.3), (5, 4, 4), (-10, 20, 30))
    dataset = composite("1.2.840.10008.5.1.4.1.1.20", Modality="NM", FrameOfReferenceUID="1.2.3")
    put_pixels(dataset, array)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    detector = Dataset()
    detector.ImagePositionPatient = [float(one) for one in affine[:3, 3]]
    detector.ImageOrientationPatient = [float(one) for one in (*affine[:3, 2] / 4, *affine[:3, 1] / 4)]
    dataset.DetectorInformationSequence = [detector]
    dataset.PixelSpacing, dataset.SpacingBetweenSlices = [4, 4], 5
    normal = np.cross(affine[:3, 2], affine[:3, 1]) / 16  # of unit length
    volume = Volume.from_instances([made(dataset).data])
    k, j, i = np.round(volume.geometry.to_index([affine[:3, 3]])[0]).astype(int)
    assert volume.spatial
    assert (j, i) == (0, 0)
    assert volume.array[k, 2, 3] == array[0, 2, 3]
    along = volume.geometry.to_index([affine[:3, 3] + 5 * normal])[0].round().astype(int)
    assert volume.array[along[0], 2, 3] == array[1, 2, 3]
    assert volume.geometry.spacing == pytest.approx((5, 4, 4))


def test_a_whole_slide_image_names_programs_that_show_it() -> None:
    dataset = composite("1.2.840.10008.5.1.4.1.1.77.1.6", Modality="SM", Rows=4, Columns=4)
    with pytest.raises(GeometryError, match="QuPath or Slim"):
        split_series([dataset])
