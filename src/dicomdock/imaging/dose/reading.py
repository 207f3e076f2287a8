"""Read an RT Dose as a volume, only where it states what its values are and where they lie.

References
----------
PS3.3 §C.8.8.3 (RT Dose), §C.8.8.3.2 (Grid Frame Offset Vector).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import integer, number, numbers, text
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.volume import Volume

RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
UNITS = ("GY", "RELATIVE")
TYPES = ("PHYSICAL", "EFFECTIVE", "ERROR")
OFFSET_TOLERANCE = 0.01
"""Millimetres that the first offset may differ from the z coordinate of the first frame: rounding."""


@dataclass(frozen=True, eq=False)
class Dose:
    """A dose grid.

    Parameters
    ----------
    volume : its values, in Gy or relative to a reference that the object does not state.
    units : Dose Units (3004,0002): ``GY`` or ``RELATIVE``.
    kind : Dose Type (3004,0004): ``PHYSICAL``, ``EFFECTIVE`` or ``ERROR``.
    summation : Dose Summation Type (3004,000A), such as ``PLAN`` or ``BEAM``.
    remarks : what the user should know, one sentence each.
    """

    volume: Volume
    units: str
    kind: str
    summation: str
    remarks: tuple[str, ...] = ()


def is_dose(header: Dataset) -> bool:
    """Return whether an instance is an RT Dose."""
    return text(header, "SOPClassUID") == RT_DOSE


@reading("The dose")
def read_dose(instance: Instance) -> Dose:
    """Read an RT Dose with a grid.

    Parameters
    ----------
    instance : an RT Dose Storage instance, with its pixels.

    Raises
    ------
    GeometryError
        It is not an RT Dose, has no grid or states no scaling, units, type or position; the sentence
        names what is missing.
    """
    dataset = as_dataset(instance)
    uid = [text(dataset, "SOPInstanceUID")]
    if not is_dose(dataset):
        raise GeometryError("The instance is not an RT Dose.", uid)
    if "PixelData" not in dataset:
        raise GeometryError("The RT Dose has no dose grid.", uid)
    scaling = number(dataset, "DoseGridScaling")
    if scaling is None or scaling <= 0:
        raise GeometryError("The RT Dose has no values: its Dose Grid Scaling is not stated.", uid)
    units, kind = text(dataset, "DoseUnits").upper(), text(dataset, "DoseType").upper()
    if units not in UNITS:
        raise GeometryError(f"The RT Dose has no known unit: Dose Units is {units or 'not stated'}.", uid)
    if kind not in TYPES:
        raise GeometryError(f"The RT Dose has no known type: Dose Type is {kind or 'not stated'}.", uid)
    _check_offsets(dataset, uid)
    plan = split_series([dataset])[0]
    plan.require_spatial()
    if None in plan.planes or plan.shape[0] != (integer(dataset, "NumberOfFrames") or 1):
        raise GeometryError(
            "The frames of the dose grid do not lie at equal distances, one behind the other.", uid
        )
    volume = Volume.from_instances([dataset], plan=plan)
    if not volume.spatial:
        raise GeometryError("The RT Dose does not state where its grid lies.", uid)
    summation = text(dataset, "DoseSummationType").upper()
    return Dose(volume, units, kind, summation, (*volume.remarks, *_remarks(units, kind, summation)))


def _check_offsets(dataset: Dataset, uid: list[str]) -> None:
    """Refuse frames whose positions are not stated: by offsets from the first, or by z in an axial grid."""
    frames = integer(dataset, "NumberOfFrames") or 1
    if frames == 1:
        return
    offsets = numbers(dataset, "GridFrameOffsetVector")
    if offsets is None or len(offsets) != frames:
        stated = "not stated" if offsets is None else f"of {len(offsets)} values for {frames} frames"
        raise GeometryError(f"The dose grid has no position: its Grid Frame Offset Vector is {stated}.", uid)
    if offsets[0] == 0:
        return
    axes = numbers(dataset, "ImageOrientationPatient", 6)
    origin = numbers(dataset, "ImagePositionPatient", 3)
    if axes is None or origin is None:
        raise GeometryError("The RT Dose does not state where its grid lies.", uid)
    upwards = np.cross(axes[:3], axes[3:])[2] > 1 - 1e-4
    if not upwards or abs(offsets[0] - origin[2]) > OFFSET_TOLERANCE:
        raise GeometryError(
            "The dose grid has no position: its Grid Frame Offset Vector begins neither with 0 nor with the z"
            " coordinate of an axial grid.",
            uid,
        )


def _remarks(units: str, kind: str, summation: str) -> list[str]:
    found = []
    if units == "RELATIVE":
        found.append("The dose is relative to a reference that it does not state; it is not in Gy.")
    if kind == "EFFECTIVE":
        found.append("The dose is an effective one, corrected for biological effect.")
    if kind == "ERROR":
        found.append("The values are differences of dose (Dose Type ERROR).")
    if not summation:
        found.append("The dose does not state whether it is of a plan, a fraction or a beam.")
    elif summation != "PLAN":
        found.append(f"The dose is that of Dose Summation Type {summation}, not of a whole plan.")
    return found
