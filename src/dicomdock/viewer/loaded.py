"""A volume of the viewer, filled with instances as they come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.imaging.attributes import text
from dicomdock.imaging.codecs import pixel_array
from dicomdock.imaging.geometry import VolumePlan, Window
from dicomdock.imaging.overlays import has_overlays, overlay_bits
from dicomdock.imaging.presentation_state import read_shutter, uncovered
from dicomdock.imaging.terminology import RGB
from dicomdock.imaging.volume import Volume, fill_slice
from dicomdock.imaging.volume.pixels import PIXELS
from dicomdock.viewer.uptake import SuvFactors, Uptake

COVERED = 2
"""The value of voxels behind a shutter, among those of overlays."""
BLACK: RGB = (0, 0, 0)
ON_THEIR_WAY = "One image; the others are on their way"
BEING_READ = "One image; the others are being read"


@dataclass(eq=False)
class Loaded:
    """A volume and how much of it has arrived.

    Parameters
    ----------
    plan : what was allocated.
    volume : its values, filled as they come.
    filled : slices k that have arrived.
    failed : reason by SOP Instance UID, for what could not be read.
    provisional : one image of a series whose other images are not known yet.
    arriving : more of them may come from their server; else all are here and being read.
    overlays : 1 for each voxel that the images' overlays cover, 2 for those behind their shutters alone; None
        while none of them has any.
    shutter_color : of what is behind their shutters.
    uptake : the volume in Standardized Uptake Values, once all of a PET series has been read.
    """

    plan: VolumePlan
    volume: Volume
    filled: set[int] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    provisional: bool = False
    arriving: bool = False
    overlays: npt.NDArray[np.uint8] | None = None
    shutter_color: RGB = BLACK
    uptake: Uptake = field(default_factory=Uptake)
    _suv_factors: SuvFactors = field(default_factory=SuvFactors, repr=False)
    _headers: list[Dataset] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def fill(self, dataset: Dataset) -> None:
        """Decode an instance into its slices, with its overlays; several threads may do so at once.

        The instance loses its pixels where its header is needed for uptake.
        """
        self.filled.update(fill_slice(self.volume, dataset))
        if has_overlays(dataset):
            with suppress(*READ_ERRORS):  # an image is shown without an overlay that cannot be read
                self._fill_overlays(dataset)
        if "ShutterShape" in dataset:
            with suppress(*READ_ERRORS):  # likewise
                self._fill_shutter(dataset)
        if self.volume.modality == "PT" and not self.provisional:
            for name in PIXELS:
                dataset.pop(name, None)
            self._headers.append(dataset)

    @property
    def note(self) -> str:
        """What is said of the images that are not shown yet; empty where all are known."""
        if not self.provisional:
            return ""
        return ON_THEIR_WAY if self.arriving else BEING_READ

    @property
    def displayed(self) -> Volume:
        """The volume in the values that it is shown in: PET as uptake where that can be computed."""
        return self.volume if self.uptake.volume is None else self.uptake.volume

    def first_window(self) -> Window:
        """Return the window that the series is opened with: the header's first one, or a guess."""
        windows = self.displayed.windows
        return windows[0] if windows else self.guess_window()

    def guess_window(self) -> Window:
        """Return the window that nearly all values lie in that have arrived."""
        there = sorted(self.filled)
        if not there:
            return self.volume.window()
        some = self.displayed.array[there[:: max(1, len(there) // 12)]]
        return self.displayed.window_over(some)

    def read_headers(self) -> None:
        """Learn from all headers of PET what makes Standardized Uptake Values of it."""
        headers, self._headers = self._headers, []
        if self.volume.modality == "PT":
            self._suv_factors = SuvFactors(self.volume, headers)

    def uptake_by(self, suv_type: str) -> Uptake:
        """Compute the volume in Standardized Uptake Values of a type, once all headers have been read."""
        return self._suv_factors.uptake(self.volume, suv_type)

    async def change_uptake(self, suv_type: Callable[[], str]) -> bool:
        """Compute the values of a type that may change meanwhile; return whether others are displayed now."""
        found = await asyncio.to_thread(self.uptake_by, suv_type())
        if found.suv_type != suv_type():
            return False  # the later choice is on its way
        before, self.uptake = self.displayed, found
        return self.displayed is not before

    def _fill_overlays(self, dataset: Dataset) -> None:
        for frame, k in self.plan.places(text(dataset, "SOPInstanceUID")).items():
            plane = self.plan.planes[k]
            if plane is None or plane.tile is not None:
                continue
            covered = overlay_bits(
                dataset,
                frame,
                (plane.rows, plane.columns),
                partial(pixel_array, dataset, every_bit=True, index=frame - 1),
            )
            if covered is not None:
                self._overlays()[k] = covered

    def _fill_shutter(self, dataset: Dataset) -> None:
        shutter = read_shutter(dataset)
        if shutter is None:
            return
        self.shutter_color = shutter.rgb
        for k in self.plan.places(text(dataset, "SOPInstanceUID")).values():
            plane = self.plan.planes[k]
            if plane is not None and plane.tile is None:
                over = self._overlays()[k]
                over[~uncovered(shutter, over.shape) & (over == 0)] = COVERED

    def _overlays(self) -> npt.NDArray[np.uint8]:
        with self._lock:
            if self.overlays is None:
                self.overlays = np.zeros(self.plan.geometry.shape, np.uint8)
            return self.overlays

    @property
    def due(self) -> int:
        """Slices that the series has."""
        return sum(plane is not None for plane in self.plan.planes)

    @property
    def complete(self) -> bool:
        """Every slice that there is has been read, or cannot be."""
        lost = sum(len(self.plan.places(uid)) for uid in self.failed)
        return not self.provisional and len(self.filled) + lost >= self.due
