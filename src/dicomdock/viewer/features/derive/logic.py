"""New images made of the shown ones: smoothed, resampled, masked or cropped; a new series in the archive."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from dicomdock.errors import DicomdockError, GeometryError
from dicomdock.imaging.derived import Derivation, cropped, derived_to_dicom, masked, resampled, smoothed
from dicomdock.imaging.segmentation import Mask
from dicomdock.viewer.features.derive.state import DeriveState
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState

CROP_MARGIN = 5  # voxels left around a segment


class DerivingLogic:
    """Makes derived series."""

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        saving: SavingLogic,
        notifications: Notifications,
    ) -> None:
        self.state, self.series, self.segments = PageState(server.state, DeriveState), series, segments
        self.saving, self.notifications = saving, notifications

        server.controller.derive = self.derive

    async def derive(self, kind: str) -> None:
        """Make a series and put it into the archive."""
        if not self.series.complete or self.state.data.deriving:
            self.notifications.info("New images can be made when all images of the series have arrived.")
            return
        assert self.series.series is not None
        with self.state as data:
            data.deriving = True
        try:
            mask = self._mask() if kind in ("mask", "crop") else None
            made = await asyncio.to_thread(self._make, kind, mask, self.series.series.uid)
        except DicomdockError as error:
            self.notifications.error(f"No images were made: {error}")
            return
        finally:
            with self.state:
                data.deriving = False
        self.series.refresh()
        self.notifications.info(f"{made} images were made; they are in the list of series.")

    def _mask(self) -> Mask:
        current, active = self.segments.current, self.segments.editor.active_segment_id
        if current is None or not active:
            raise GeometryError("choose a segment first, which says what to keep.")
        at = self.segments.editor.get_segment_ids().index(active)
        mask: Mask = current.read().segments[at].mask
        if not mask.array.size:
            raise GeometryError("the chosen segment is empty.")
        return mask

    def _make(self, kind: str, mask: Mask | None, series: str) -> int:
        datasets = derived_to_dicom(self._derivation(kind, mask), self.saving.headers(series))
        self.saving.store(datasets)
        return len(datasets)

    def _derivation(self, kind: str, mask: Mask | None) -> Derivation:
        scanned = self.series.scanned  # in the units of the series, whatever it is shown in
        volume = self.series.volume if scanned.geometry.sheared else scanned
        if kind == "smooth":
            return smoothed(volume, _millimetres(self.state.data.smooth_mm))
        if kind == "resample":
            return resampled(volume, (_millimetres(self.state.data.resample_mm),) * 3)
        assert mask is not None
        if kind == "mask":
            return masked(volume, mask)
        k0, j0, i0 = (int(at) for at in np.maximum(np.array(mask.start) - CROP_MARGIN, 0))
        k1, j1, i1 = (int(at) for at in np.minimum(np.array(mask.stop) + CROP_MARGIN, volume.geometry.shape))
        return cropped(volume, (k0, j0, i0), (k1, j1, i1))


def _millimetres(typed: float | str | None) -> float:
    """Read what stands in a field of the page; what is not a number counts as 0, which is refused."""
    return float(typed) if isinstance(typed, (int, float)) else 0.0
