"""Key images: the image that is looked at becomes one, and those of a selection are shown."""

from __future__ import annotations

import asyncio
from typing import Any

from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.imaging.key_objects import (
    OF_INTEREST,
    KeyObject,
    KeyObjects,
    key_objects_to_dicom,
    read_key_objects,
)
from dicomdock.viewer.features.key_images.state import KeyImageRow, KeyImagesState
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.study import read_instance


class KeyImagesLogic:
    """Writes a Key Object Selection for each image, and goes to the images of those that are opened.

    Parameters
    ----------
    server : trame's.
    series, views : what is shown, and where.
    saving : stores objects.
    notifications : shows messages to the user.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        views: Views,
        saving: SavingLogic,
        notifications: Notifications,
    ) -> None:
        self.state, self.series, self.views = PageState(server.state, KeyImagesState), series, views
        self.saving, self.notifications = saving, notifications
        self._wanted: KeyImageRow | None = None
        server.controller.show_key_image = self.show
        series.on_complete.append(self._go)

    async def mark(self) -> None:
        """Store the image in the axial view as a key image."""
        loaded, series, at = self.series.loaded, self.series.series, self.views.slice_at()
        plane = loaded.plan.planes[at] if loaded is not None and at is not None else None
        if plane is None or series is None:
            self.notifications.info("No image of the series lies in the first view; there is none to mark.")
            return
        image = Resource(series.resource.study, series.uid, plane.instance)
        try:
            await asyncio.to_thread(self._write, image, plane.frame)
        except (DicomdockError, OSError) as error:
            self.notifications.error(f"The key image was not saved: {error}")
            return
        self.series.refresh()
        self.notifications.info(f"Image {(at or 0) + 1} of {series.name} is saved as a key image.")

    def open(self, uid: str) -> None:
        """List the images that the selections of a series select, and show the first."""
        study = self.series.study
        assert study is not None
        rows: list[KeyImageRow] = []
        lost = 0
        for one in self.saving.archive.instances(Resource(study.uid, uid)):
            try:
                keys = read_key_objects(read_instance(self.saving.archive, one))
            except (DicomdockError, OSError) as error:
                self.notifications.error(f"The key images cannot be opened: {error}")
                continue
            for key in keys.objects:
                if not self.saving.archive.present(Resource(study.uid, key.series or uid, key.instance)):
                    lost += 1
                    continue
                series = study.find(key.series)
                words = keys.description or keys.title.meaning
                name = f"{words}: {series.name if series else 'another study'}"
                rows.append(KeyImageRow(name, key.series, key.instance, (key.frames or (1,))[0]))
        if lost:
            many = "1 key image is" if lost == 1 else f"{lost} key images are"
            self.notifications.info(f"{many} not on this computer.")
        with self.state as data:
            data.key_images, data.key_image_at = rows, -1
        if rows:
            self.show(0)

    def show(self, at: int) -> None:
        """Go to an image of the list."""
        row = self.state.data.key_images[at]
        with self.state as data:
            data.key_image_at = at
        self._wanted = row
        if self.series.series is not None and self.series.series.uid == row.series and self.series.complete:
            self._go()
        else:
            self.series.open_series(row.series)

    def _go(self) -> None:
        row, loaded, series = self._wanted, self.series.loaded, self.series.series
        if row is None or loaded is None or series is None or series.uid != row.series:
            return
        places = loaded.plan.places(row.instance)
        if row.frame not in places:
            volume = self.series.volume_of(row.instance, row.frame)
            if volume is None:
                self._wanted = None
            elif volume != self.series.state.data.volume_at:
                self.series.open_series(row.series, volume)
            return
        self._wanted = None
        _, rows, columns = loaded.volume.geometry.shape
        self.views.look_at(loaded.volume.geometry.to_lps((places[row.frame], rows // 2, columns // 2)))

    def _write(self, image: Resource, frame: int) -> None:
        (stored,) = self.saving.archive.instances(image)
        header = read_instance(self.saving.archive, stored, pixels=False)
        frames = (frame,) if "NumberOfFrames" in header else ()
        keys = KeyObjects(OF_INTEREST, (KeyObject(image.instance or "", frames),))
        self.saving.store([key_objects_to_dicom(keys, [header])])
