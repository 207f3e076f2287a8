"""Volume: an array of values with its place in the patient, read whole or filled slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry import Plane, VolumeGeometry, VolumePlan, Window, split_series
from dicomdock.imaging.volume.curved import CurvedImage, along_curve
from dicomdock.imaging.volume.pixels import PIXELS, Array, decode
from dicomdock.imaging.volume.resample import resample

MAX_BYTES = 16 << 30  # of one volume's array; a header that claims more would only exhaust memory

SMALL, RATIO = 128 << 20, 400
"""Voxels that any instances may claim: so many, or so many for each byte (a blank image packs well)."""

AIR = -1024  # HU of what has not arrived

WINDOW_SHARE = (0.5, 99.5)  # percent of the values that a computed window spans

HOTTEST, HOTTEST_SHARE = 8, 50_000
"""Voxels of PET that may be hotter than its window: so many, or one in so many."""

_SAMPLES = 200_000  # values looked at to compute a window


@dataclass(frozen=True, eq=False)
class Volume:
    """Values on a grid.

    Parameters
    ----------
    array : (k, j, i), or (k, j, i, 3) red, green, blue of 8 bits each.
    geometry : the grid, in mm, LPS.
    spatial : False for a stack that has no place in the patient (secondary capture, most ultrasound).
    frame_of_reference : UID; may be empty.
    units : of the values; may be empty.
    inverted : low values are shown bright.
    windows : window presets from the header.
    sources : for each slice k its SOP Instance UID and 1-based frame; None for a slice that has none.
    name : what distinguishes it from the other volumes of its series; may be empty.
    remarks : what the user should know.
    plan : the plan it was allocated from; None for volumes from elsewhere.
    modality : of the images; may be empty.
    suv_type : which Standardized Uptake Value the values are; empty where they are none.
    padding : least and greatest value of voxels that are not part of the image; None where there are none.
        Where the slopes of slices give it several values, the least of them stands for all.
    dose_type : Dose Type (3004,0004) of a dose: ``PHYSICAL``, ``EFFECTIVE`` or ``ERROR``; empty where the
        values are none.
    """

    array: Array
    geometry: VolumeGeometry
    spatial: bool = True
    frame_of_reference: str = ""
    units: str = ""
    inverted: bool = False
    windows: tuple[Window, ...] = ()
    sources: tuple[tuple[str, int] | None, ...] = ()
    name: str = ""
    remarks: tuple[str, ...] = ()
    plan: VolumePlan | None = None
    modality: str = ""
    suv_type: str = ""
    padding: tuple[float, float] | None = None
    dose_type: str = ""

    def __post_init__(self) -> None:
        if self.array.shape[:3] != self.geometry.shape or self.array.ndim > 4:
            shapes = f"{self.array.shape} and {self.geometry.shape}"
            raise GeometryError(f"The array and the grid of a volume differ in shape: {shapes}.")

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """Takes a voxel index (k, j, i, 1) to mm, LPS."""
        return self.geometry.affine

    @property
    def colour(self) -> bool:
        """True when voxels are red, green, blue."""
        return self.array.ndim == 4

    def window(self) -> Window:
        """Return the first window of the header, or one that spans nearly all values that are there."""
        if self.windows:
            return self.windows[0]
        return self.window_over(self.array)

    def window_over(self, array: Array) -> Window:
        """Return a window for some of the values, by what the volume states of them."""
        return window_over(array, self.units, modality=self.modality, padding=self.padding)

    def straightened(self) -> Self:
        """Return the volume on a grid with perpendicular axes, for programs that know no tilted gantry.

        Slices keep their normal position and are shifted in their plane, with linear interpolation; the grid
        grows to hold all of them. A volume that is straight already is given back as it is.
        """
        if not self.geometry.sheared:
            return self
        grid = straight_grid(self.geometry)
        fill = AIR if self.units == "HU" else 0
        array = resample(self.array, self.geometry, grid, linear=True, fill=fill)
        return replace(self, array=array, geometry=grid, sources=(), plan=None)

    def along(
        self,
        points: npt.ArrayLike,
        *,
        width: float = 50.0,
        spacing: float | None = None,
        angle: float = 0.0,
        towards: Sequence[float] | None = None,
        tolerance: float = 0.0,
    ) -> CurvedImage:
        """Return the volume along a smooth curve through points, straightened, as ``along_curve`` does.

        Parameters
        ----------
        points : (n, 3), mm, LPS.
        width, spacing : of the image, in mm; pixels are as small as voxels unless given.
        angle : degrees about the curve.
        towards : direction, LPS, in which the columns of the first row run.
        tolerance : mm that points of a line drawn by hand may be left out for.

        Raises
        ------
        GeometryError
            The volume has no place in the patient, the points form no line, or a size is unfit.
        """
        if not self.spatial:
            raise GeometryError("The images have no position in the patient, so no path leads through them.")
        return along_curve(
            self.array,
            self.geometry,
            points,
            width=width,
            spacing=spacing,
            angle=angle,
            towards=towards,
            tolerance=tolerance,
            fill=AIR if self.units == "HU" else 0,
        )

    def turned(self, geometry: VolumeGeometry) -> Self:
        """Return the volume with axes that run as those of another grid; every voxel stays where it is."""
        order, flips, grid = self.geometry.turned(geometry)
        if grid is self.geometry:
            return self
        flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
        array = np.flip(self.array.transpose(*order, *range(3, self.array.ndim)), flipped)
        return replace(self, array=np.ascontiguousarray(array), geometry=grid, sources=(), plan=None)

    @classmethod
    @reading("The images")
    def from_instances(cls, instances: Iterable[Instance], *, plan: VolumePlan | None = None) -> Volume:
        """Read a volume from the instances of its series.

        Parameters
        ----------
        instances : in any order; those that are not part of the plan are passed over.
        plan : the volume wanted; else the first one that ``split_series`` finds.

        Raises
        ------
        GeometryError
            The instances form no volume, an instance of the plan is not among them, or pixels cannot be
            decoded.
        """
        datasets = [as_dataset(instance) for instance in instances]
        if plan is None:
            plan = split_series(datasets)[0]
        wanted = set(plan.instances)
        check_claim(plan, sum(_stored(one) for one in datasets if text(one, "SOPInstanceUID") in wanted))
        volume = allocate(plan)
        for dataset in datasets:
            if text(dataset, "SOPInstanceUID") in wanted:
                fill_slice(volume, dataset)
                wanted.discard(text(dataset, "SOPInstanceUID"))
        if wanted:
            raise GeometryError(f"{len(wanted)} instances of the volume are not there.", sorted(wanted))
        return volume


def allocate(plan: VolumePlan) -> Volume:
    """Make the volume of a plan, with nothing in it yet (air in HU, else 0).

    Raises
    ------
    GeometryError
        It would need more memory than ``MAX_BYTES``.
    """
    size = int(np.prod(plan.shape, dtype=np.int64)) * plan.dtype.itemsize
    if size > MAX_BYTES:
        raise GeometryError(f"The volume would need {size / 2**30:.0f} GB of memory.", plan.instances)
    array: Array = np.zeros(plan.shape, plan.dtype)
    if plan.units == "HU":
        array[...] = AIR
    return _described(plan, array)


def outline(plan: VolumePlan) -> Volume:
    """Return the volume of a plan without values: its array is read-only and takes no memory."""
    return _described(plan, np.broadcast_to(np.zeros((), plan.dtype), plan.shape))


def check_claim(plan: VolumePlan, stored: int) -> None:
    """Refuse a volume that is larger than its instances can hold, before memory is taken for it.

    Parameters
    ----------
    stored : bytes of its instances, pixels included.

    Raises
    ------
    GeometryError
        No compression of images reaches what the headers claim.
    """
    claimed = int(np.prod(plan.shape, dtype=np.int64))
    if claimed > max(SMALL, RATIO * stored):
        raise GeometryError(
            f"The {stored:,} bytes of the images cannot hold the {claimed:,} voxels that they claim.",
            plan.instances,
        )


def _described(plan: VolumePlan, array: Array) -> Volume:
    found = _paddings(plan)
    padding = next(iter(found)) if len(found) == 1 else (min(found)[0],) * 2 if found else None
    note = (
        f"Padding has other values in other slices, whose slopes differ; all of it is {padding[0]:g} here."
        if padding is not None and len(found) > 1
        else ""
    )
    return Volume(
        array,
        plan.geometry,
        plan.spatial,
        plan.frame_of_reference,
        plan.units,
        plan.inverted,
        plan.windows,
        tuple(None if plane is None else (plane.instance, plane.frame) for plane in plan.planes),
        plan.label,
        (*plan.remarks, note) if note else plan.remarks,
        plan,
        plan.modality,
        plan.lead.pixels.suv_type,
        padding,
        plan.lead.pixels.dose_type,
    )


def _paddings(plan: VolumePlan) -> set[tuple[float, float]]:
    """Return the ends of the padding of all slices; slices with a rescale of their own have their own."""
    stated = {plane.pixels.padding for plane in plan.planes if plane is not None}
    return {_held(ends, plan.dtype) for ends in stated if ends is not None}


def _held(ends: tuple[float, float], dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the ends of padding as an array holds them: rounded to its type, or clipped."""
    if dtype.kind == "f":
        return float(dtype.type(ends[0])), float(dtype.type(ends[1]))
    limits = np.iinfo(dtype)
    return min(max(ends[0], limits.min), limits.max), min(max(ends[1], limits.min), limits.max)


@reading("The image")
def fill_slice(volume: Volume, instance: Instance) -> tuple[int, ...]:
    """Decode an instance into its slices of an allocated volume and give their k.

    Different instances may be filled by several threads at once. An instance of another volume changes
    nothing.

    Parameters
    ----------
    volume : from ``allocate``; its array is written to.
    instance : one instance with its pixels.

    Raises
    ------
    GeometryError
        The volume has no plan, or the pixels cannot be decoded or do not fit.
    """
    if volume.plan is None:
        raise GeometryError("Only a volume that was allocated from a plan can be filled.")
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    places = volume.plan.places(uid)
    planes: dict[int, Plane] = {}
    for frame, k in places.items():
        plane = volume.plan.planes[k]
        assert plane is not None, "a slot leads to a plane"
        planes[frame] = plane
    if not planes:
        return ()
    filled = []
    for frame, values in decode(dataset, planes):
        target = volume.array[places[frame]]
        if values.shape != target.shape:
            raise GeometryError(f"A frame has the shape {values.shape}, not {target.shape}.", [uid])
        target[...] = _fitted(values, target.dtype)
        own = planes[frame].pixels.padding
        if own is not None and volume.padding is not None:
            ends = _held(own, target.dtype)
            if ends != volume.padding:
                target[(target >= ends[0]) & (target <= ends[1])] = volume.padding[0]
        filled.append(places[frame])
    return tuple(filled)


def window_over(
    array: Array, units: str = "", *, modality: str = "", padding: tuple[float, float] | None = None
) -> Window:
    """Return a window that spans nearly all of some values; of PET from 0 to the hottest few voxels.

    Values that are not finite and padding do not count; what pads a CT below air counts as air.

    Parameters
    ----------
    padding : least and greatest value of padding.
    """
    hottest = modality == "PT" and array.ndim < 4  # else in colour
    values = array.reshape(-1) if hottest else _sample(array)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if padding is not None:
        inside = values[(values < padding[0]) | (values > padding[1])]
        values = inside if inside.size else values
    if not values.size:
        return Window(0.5, 1.0, "auto", "LINEAR_EXACT")
    if hottest:
        number = min(values.size, max(HOTTEST, values.size // HOTTEST_SHARE))
        high = float(np.partition(values, -number)[-number])
        low = 0.0 if high > 0 else float(values.min())
    else:
        airless = np.maximum(values, AIR) if units == "HU" and values.dtype.kind != "u" else values
        ends = np.percentile(airless, WINDOW_SHARE)
        low, high = float(ends[0]), float(ends[1])
        if low == high:  # nearly all values are one: the few others are what there is to see
            low, high = float(values.min()), float(values.max())
    least = 1.0 if array.dtype.kind in "iu" else abs(high) * 1e-6 or 1e-6
    return Window((low + high) / 2, max(high - low, least), "auto", "LINEAR_EXACT")


def straight_grid(geometry: VolumeGeometry) -> VolumeGeometry:
    """Return the smallest grid with perpendicular axes, the same pixels and slices, that holds a sheared
    one.
    """
    affine = geometry.affine
    rows, columns = geometry.directions[:, 1], geometry.directions[:, 2]
    normal = np.cross(columns, rows)
    step = affine[:3, 0]
    shift = np.array([step @ rows, step @ columns]) / geometry.spacing[1:]  # pixels from slice to slice
    ends = shift * (geometry.shape[0] - 1)
    low, high = np.floor(np.minimum(0, ends)), np.ceil(np.maximum(0, ends))
    straight = affine.copy()
    straight[:3, 0] = normal * (step @ normal)
    straight[:3, 3] = geometry.to_lps([0, low[0], low[1]])
    slices, height, width = geometry.shape
    return VolumeGeometry((slices, height + int(high[0] - low[0]), width + int(high[1] - low[1])), straight)


def _fitted(values: Array, dtype: np.dtype[Any]) -> Array:
    """Clip integers that a type cannot hold: padding below the Hounsfield scale."""
    if values.dtype.kind in "iu" and dtype.kind in "iu" and values.dtype != dtype:
        limits = np.iinfo(dtype)
        if int(values.min(initial=0)) < limits.min or int(values.max(initial=0)) > limits.max:
            return np.clip(values.astype(np.int64), limits.min, limits.max)
    return values


def _stored(dataset: Dataset) -> int:
    pixels = next((dataset.get(name) for name in PIXELS if name in dataset), None)
    return len(pixels) if isinstance(pixels, (bytes, bytearray)) else SMALL


def _sample(array: Array) -> Array:
    flat = array.reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLES)]
