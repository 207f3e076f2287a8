"""Write a derived volume as a series of single-frame images (CT, MR or PET, like its source).

References
----------
PS3.3 §A.3, §A.4, §A.21 (CT, MR, PET Image IODs), §C.7.6.1.1.3 (derivation).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicomdock.dicom.uid import new_uid
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text, texts
from dicomdock.imaging.authoring import (
    Authorship,
    begin,
    decimal_string,
    finish,
    next_series_number,
    reference,
    set_laterality,
)
from dicomdock.imaging.derived.operations import Derivation
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.source_images import Placed, place_sources
from dicomdock.imaging.terminology import Code, code_item
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid

CT, MR, PET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"

_SERIES = ("PatientPosition", "ProtocolName", "PositionReferenceIndicator")
_KEPT = {
    CT: [
        "KVP",
        "ConvolutionKernel",
        "ReconstructionDiameter",
        "DataCollectionDiameter",
        "XRayTubeCurrent",
        "ScanOptions",
    ],
    MR: [
        "ScanningSequence",
        "SequenceVariant",
        "ScanOptions",
        "MRAcquisitionType",
        "RepetitionTime",
        "EchoTime",
        "EchoTrainLength",
        "InversionTime",
        "TriggerTime",
        "MagneticFieldStrength",
        "FlipAngle",
        "ImagedNucleus",
        "EchoNumbers",
        "DiffusionBValue",
    ],
    PET: [
        "Units",
        "CountsSource",
        "SeriesType",
        "CorrectedImage",
        "DecayCorrection",
        "CollimatorType",
        "ReprojectionMethod",
        "RadiopharmaceuticalInformationSequence",
        "FrameReferenceTime",
        "ActualFrameDuration",
        "DecayFactor",
        "SUVType",
        "PatientOrientationCodeSequence",
        "PatientGantryRelationshipCodeSequence",
    ],
}
"""How the values came about; what describes single slices or doses of the acquisition is not repeated."""

_REQUIRED: dict[str, dict[str, object]] = {
    CT: {"KVP": None},
    MR: {
        "ScanningSequence": "RM",
        "SequenceVariant": "NONE",
        "ScanOptions": None,
        "MRAcquisitionType": None,
        "EchoTime": None,
        "EchoTrainLength": None,
        "RepetitionTime": None,
    },
    PET: {
        "Units": "NONE",
        "CountsSource": "EMISSION",
        "SeriesType": ["WHOLE BODY", "IMAGE"],
        "CorrectedImage": None,
        "DecayCorrection": "NONE",
        "CollimatorType": None,
        "FrameReferenceTime": "0",
        "ActualFrameDuration": None,
        "AcquisitionDate": None,
        "AcquisitionTime": None,
        "RadiopharmaceuticalInformationSequence": [],
        "PatientOrientationCodeSequence": [],
        "PatientGantryRelationshipCodeSequence": [],
    },
}
"""What the class asks for, where the source does not say."""

_CLASSES = {
    CT: CT, MR: MR, PET: PET,
    "1.2.840.10008.5.1.4.1.1.2.1": CT, "1.2.840.10008.5.1.4.1.1.2.2": CT,
    "1.2.840.10008.5.1.4.1.1.4.1": MR, "1.2.840.10008.5.1.4.1.1.4.4": MR,
    "1.2.840.10008.5.1.4.1.1.130": PET, "1.2.840.10008.5.1.4.1.1.128.1": PET,
}  # fmt: skip
"""Source class -> class of the derived images; enhanced multi-frame sources give single-frame images."""

_MODALITIES = {CT: "CT", MR: "MR", PET: "PT"}
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")


def derived_to_dicom(
    derivation: Derivation, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> list[Dataset]:
    """Write a derived volume as a new series of the study.

    Whole numbers are stored as they are; other values in 16 bits with a rescale. What is padding or no number
    is padding of the new images.

    Parameters
    ----------
    derivation : a grey volume with a place in the patient, and how it was made.
    sources : the instances of the series it was made of, with or without pixels.

    Returns
    -------
    list
        One instance for each slice, in slice order.

    Raises
    ------
    GeometryError
        The volume is in colour or has no place in the patient, or the source is neither CT, MR nor PET.
    """
    volume = derivation.volume
    if not sources:
        raise GeometryError("A derived series needs the images it was made of.")
    if volume.colour or not volume.spatial:
        raise GeometryError("Only grey volumes with a place in the patient are written as a derived series.")
    sop_class = _CLASSES.get(text(sources[0], "SOPClassUID"))
    if sop_class is None:
        raise GeometryError("Derived series are written of CT, MR and PET; this source is none of them.")
    placed = place_sources(volume.geometry, sources, preferred=[one for one in volume.sources if one])
    described = authorship or Authorship(
        f"{text(sources[0], 'SeriesDescription') or 'Series'} ({derivation.words})"[:64],
        next_series_number(sources, offset=200),
    )
    described = replace(described, series=described.series or new_uid())
    frame = volume.frame_of_reference or text(placed.headers[0], "FrameOfReferenceUID") or new_uid()
    derivation = replace(derivation, volume=replace(volume, frame_of_reference=frame))
    stored = _stored(volume, sop_class)
    apart = frozenset() if any(volume.sources) else _differing(sources, sop_class)
    return [
        _slice(derivation, k, stored, sop_class, placed, described, apart)
        for k in range(volume.geometry.shape[0])
    ]


def _differing(sources: Sequence[Dataset], sop_class: str) -> frozenset[str]:
    """Return what images at one place differ in: echo time, b-value. It is not stated of a volume of all."""
    first: dict[tuple[str, str], str] = {}
    return frozenset(
        keyword
        for source in sources
        for keyword in _KEPT[sop_class]
        if first.setdefault((keyword, text(source, "ImagePositionPatient")), text(source, keyword))
        != text(source, keyword)
    )


@dataclass(frozen=True, eq=False)
class _Stored:
    """Values as they are stored, and the way back.

    Parameters
    ----------
    array : the stored numbers.
    slope, intercept : of the rescale.
    padding : least and greatest stored number of voxels that are not part of the image; None for none.
    """

    array: npt.NDArray[np.generic]
    slope: str
    intercept: str
    padding: tuple[int, int] | None = None


def _stored(volume: Volume, sop_class: str) -> _Stored:
    """Return the values as 16 bits; padding, and what is not a number, becomes padding."""
    array = volume.array
    image = valid(array, volume.padding)
    low, high = (float(array[image].min()), float(array[image].max())) if image.any() else (0.0, 0.0)
    if sop_class != PET and array.dtype.kind in "iu":
        for kind in (np.int16, np.uint16):
            if np.iinfo(kind).min <= float(array.min()) and float(array.max()) <= np.iinfo(kind).max:
                return _Stored(array.astype(kind), "1", "0", _ends(array[~image]))
    padded = not image.all()
    if sop_class == PET:
        # PET asks for an intercept of 0.
        slope, intercept = decimal_string(max(abs(low), abs(high), 1e-30) / 32767), "0"
        limits, blank = (-32767, 32767), -32768
    else:
        limits, blank = (1 if padded else 0, 65535), 0
        slope = decimal_string(max(high - low, 1e-30) / (limits[1] - limits[0]))
        intercept = decimal_string(low - limits[0] * float(slope))
    whole = np.round((np.where(image, array, 0) - np.float64(intercept)) / float(slope))
    whole = np.where(image, whole.clip(*limits), blank)
    kind = np.int16 if sop_class == PET else np.uint16
    return _Stored(whole.astype(kind), slope, intercept, (blank, blank) if padded else None)


def _ends(values: npt.NDArray[np.generic]) -> tuple[int, int] | None:
    return (int(values.min()), int(values.max())) if values.size else None


def _slice(
    derivation: Derivation,
    k: int,
    stored: _Stored,
    sop_class: str,
    placed: Placed,
    authorship: Authorship,
    apart: frozenset[str],
) -> Dataset:
    volume = derivation.volume
    on_slice = placed.slices.get(k)
    sources = _sources(placed, volume.geometry, k)
    lead = sources[0]
    dataset = Dataset()
    begin(dataset, sop_class, _MODALITIES[sop_class], lead, authorship)
    dataset.InstanceNumber = k + 1
    for keyword in (*_SERIES, *_KEPT[sop_class]):
        if keyword in lead and keyword not in apart:
            dataset.add(deepcopy(lead[keyword]))
    _described(dataset, derivation, sources, on_slice)
    set_laterality(dataset, lead)
    if "IR" not in texts(dataset, "ScanningSequence"):
        dataset.pop("InversionTime", None)
    for keyword, value in _REQUIRED[sop_class].items():
        if keyword not in dataset:
            setattr(dataset, keyword, value)
    _place(dataset, volume, k)
    _pixels(dataset, stored, k)
    if sop_class == PET:
        dataset.NumberOfSlices = volume.geometry.shape[0]
        dataset.ImageIndex = k + 1
    if windows := [window for window in volume.windows if window.table is None]:
        dataset.WindowCenter = [decimal_string(window.center) for window in windows]
        dataset.WindowWidth = [decimal_string(window.width) for window in windows]
        if windows[0].function != "LINEAR":
            dataset.VOILUTFunction = windows[0].function
    if sop_class in (CT, PET) or stored.slope != "1":
        dataset.RescaleSlope, dataset.RescaleIntercept = stored.slope, stored.intercept
        if sop_class == CT:
            dataset.RescaleType = "HU" if volume.units == "HU" else "US"
    return finish(dataset)


def _sources(placed: Placed, geometry: VolumeGeometry, k: int) -> list[Dataset]:
    """Return the image that lies on a slice, else those beside it, which its values were interpolated of."""
    named = {text(header, "SOPInstanceUID"): header for header in placed.headers}
    if k in placed.slices:
        return [named[placed.slices[k][0]]]
    depths = geometry.to_index([plane.origin or (0, 0, 0) for plane in placed.planes])[:, 0]
    gaps = np.diff(np.unique(np.round(depths, 3)))
    reach = max(1.0, float(np.median(gaps))) if gaps.size else 1.0
    beside = [
        plane.instance for plane, depth in zip(placed.planes, depths, strict=True) if abs(depth - k) <= reach
    ]
    return [named[uid] for uid in dict.fromkeys(beside)] or list(placed.headers)


def _described(
    dataset: Dataset, derivation: Derivation, sources: Sequence[Dataset], on_slice: tuple[str, int] | None
) -> None:
    """State that the image is derived, how, and from what."""
    kind = texts(sources[0], "ImageType")
    if dataset.SOPClassUID == PET:  # which knows no secondary images
        dataset.ImageType = ["DERIVED", "PRIMARY"]
    else:
        dataset.ImageType = ["DERIVED", "SECONDARY", *(kind[2:3] or _KINDS[dataset.SOPClassUID])]
    dataset.DerivationDescription = derivation.words
    dataset.DerivationCodeSequence = [code_item(derivation.code)]
    items = []
    for source in sources:
        item = reference(source)
        if on_slice is not None and "NumberOfFrames" in source:
            item.ReferencedFrameNumber = on_slice[1]
        item.PurposeOfReferenceCodeSequence = [code_item(_SOURCE_IMAGE)]
        items.append(item)
    dataset.SourceImageSequence = items
    for keyword in ("AcquisitionDate", "AcquisitionTime", "LossyImageCompression"):
        if keyword in sources[0]:
            dataset.add(deepcopy(sources[0][keyword]))
    if text(dataset, "LossyImageCompression") == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in sources[0]:
                dataset.add(deepcopy(sources[0][keyword]))
    dataset.AcquisitionNumber = None


_KINDS = {CT: ("AXIAL",), MR: ("OTHER",)}


def _place(dataset: Dataset, volume: Volume, k: int) -> None:
    geometry = volume.geometry
    directions = geometry.directions
    normal = np.cross(directions[:, 2], directions[:, 1])
    between = abs(float(geometry.affine[:3, 0] @ normal))
    dataset.FrameOfReferenceUID = UID(volume.frame_of_reference)
    if "PositionReferenceIndicator" not in dataset:
        dataset.PositionReferenceIndicator = None
    if dataset.SOPClassUID == PET:  # the patient orientation codes say it
        dataset.pop("PatientPosition", None)
    elif "PatientPosition" not in dataset:
        dataset.PatientPosition = None
    dataset.ImagePositionPatient = _ds(geometry.to_lps([k, 0, 0]))
    dataset.ImageOrientationPatient = _ds([*directions[:, 2], *directions[:, 1]])
    dataset.PixelSpacing = _ds(geometry.spacing[1:])
    dataset.SliceThickness = decimal_string(between)
    if dataset.SOPClassUID != PET:
        dataset.SpacingBetweenSlices = decimal_string(between)


def _ds(values: Sequence[float] | npt.NDArray[np.float64]) -> list[str]:
    return [decimal_string(float(value)) for value in values]


def _pixels(dataset: Dataset, stored: _Stored, k: int) -> None:
    pixels = stored.array[k]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    if stored.padding is not None:
        least, greatest = stored.padding
        vr = "SS" if pixels.dtype.kind == "i" else "US"
        dataset.add_new("PixelPaddingValue", vr, least)
        if greatest != least:
            dataset.add_new("PixelPaddingRangeLimit", vr, greatest)
    dataset.PixelData = pixels.astype("<i2" if pixels.dtype.kind == "i" else "<u2").tobytes()
    dataset["PixelData"].VR = "OW"
