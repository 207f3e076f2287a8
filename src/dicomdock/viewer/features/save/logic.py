"""Save the segmentation in the archive as DICOM, and ask before unsaved work is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydicom.dataset import Dataset

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, DicomdockError, GeometryError
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.rtstruct import structures_to_dicom
from dicomdock.imaging.segmentation import Segmentation, segmentation_to_dicom
from dicomdock.imaging.segmentation.reading import origin_of
from dicomdock.sources import Part
from dicomdock.viewer.dock_client import DockClient
from dicomdock.viewer.features.save.state import SaveState
from dicomdock.viewer.features.segments.logic import SegmentsLogic
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.study import read_instance

Outcome = Literal["saved", "nothing", "failed"]


@dataclass(frozen=True)
class Kind:
    """What a segmentation can be saved as.

    Parameters
    ----------
    name : of the DICOM object.
    series : kind of its series in the study's list.
    label : keyword of the attribute that holds its label.
    write : makes the object of a segmentation and the headers of its images.
    """

    name: str
    series: str
    label: str
    write: Callable[[Segmentation, Sequence[Dataset]], Dataset]


KINDS = {
    "SEG": Kind("DICOM Segmentation", "segmentation", "ContentLabel", segmentation_to_dicom),
    "RTSTRUCT": Kind("RT Structure Set", "structures", "StructureSetLabel", structures_to_dicom),
}
"""By Modality, as the page names them."""


class SavingLogic:
    """Stores objects in the archive.

    Parameters
    ----------
    server : trame's.
    series, segments : the shown series, and its segmentation.
    archive : where it goes.
    dock : is informed when the study has changed.
    notifications : shows messages to the user.
    settings : say who draws, for the objects that are written.
    """

    def __init__(
        self,
        server: Any,
        series: SeriesLogic,
        segments: SegmentsLogic,
        archive: Archive,
        dock: DockClient,
        notifications: Notifications,
        settings: Settings,
    ) -> None:
        self.state, self.series, self.segments = PageState(server.state, SaveState), series, segments
        self._settings = settings
        self.archive, self.dock, self.notifications = archive, dock, notifications
        self._then: Callable[[], Any] | None = None
        control = server.controller
        control.save = self.save
        control.leave_drawing = self.leave
        control.ask_new_drawing = lambda: self.before(segments.begin)
        control.ask_open_drawing = lambda uid: self.before(lambda: segments.open(uid))

    async def save(self) -> Outcome:
        """Store the segmentation in the archive as the chosen kind of object, if it has changed."""
        current, kind = self.segments.current, KINDS.get(self.state.data.save_as, KINDS["SEG"])
        if self.state.data.saving:
            return "nothing"
        if current is None:
            self.notifications.info("There is nothing to save yet; choose Segment and draw something.")
            return "nothing"
        if not current.unsaved and self._is_open_as(kind):
            self.notifications.info("Nothing has changed since it was saved.")
            return "nothing"
        changes, value = current.changes, current.read()
        if not any(segment.mask.array.size for segment in value.segments):
            self.notifications.info("There is nothing to save yet; the segments are empty.")
            return "nothing"
        with self.state as data:
            data.saving = True
        try:
            on_slices = await asyncio.to_thread(value.onto, self.series.scanned.geometry)
            made = await asyncio.to_thread(self._write, on_slices, current.series, kind)
        except DicomdockError as error:
            self.notifications.error(f"The segmentation was not saved: {error}")
            return "failed"
        finally:
            with self.state:
                data.saving = False
        self.segments.saved(current, replace(value, origin=origin_of(made, kind.label)), changes)
        self.series.refresh()
        with self.segments.state as drawn:
            drawn.drawing_uid = str(made.SeriesInstanceUID)
            drawn.drawing_name = str(made.get("SeriesDescription", "")) or drawn.drawing_name
        self.notifications.info(f"Saved in the archive as {kind.name}: {drawn.drawing_name}")
        for remark in on_slices.remarks:
            self.notifications.info(remark)
        return "saved"

    def before(self, work: Callable[[], Any]) -> None:
        """Run what closes the segmentation; where it is not saved, ask the user first."""
        if self.segments.current is None or not self.segments.current.unsaved:
            work()
            return
        self._then = work
        with self.state as data:
            data.leaving_open = True

    async def leave(self, answer: str) -> None:
        """Apply the user's answer: ``save`` the segmentation first, ``drop`` it, or ``stay`` with it."""
        work, self._then = self._then, None
        with self.state as data:
            data.leaving_open = False
        if work is None or answer == "stay" or (answer == "save" and await self.save() != "saved"):
            return
        if answer == "drop":
            self.segments.discard()
        with self.state:
            work()

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Store objects that were made by the viewer in the archive."""
        with self.archive.writer(made_here=True) as writer:
            for dataset in datasets:
                resource = Resource(
                    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
                )
                writer.add(_part(to_bytes(dataset), resource), resource)
        self.dock.study_changed()

    def headers(self, series: str) -> list[Dataset]:
        """Read the headers of the intact instances of a series of the study, as ``headers_of`` does."""
        assert self.series.study is not None
        return self.headers_of(Resource(self.series.study.uid, series))

    def headers_of(self, series: Resource) -> list[Dataset]:
        """Read the headers of the intact instances of a series; where it is shown, the others are named.

        Raises
        ------
        GeometryError
            None is in the archive.
        DamagedInstances
            All are damaged.
        """
        found = self.archive.instances(series)
        if not found:
            raise GeometryError(
                "The images that this belongs to are no longer on this computer; download them first."
            )
        damaged = set(self.archive.damaged(found))
        if len(damaged) == len(found):
            raise DamagedInstances(sorted(map(str, damaged)))
        return [
            read_instance(self.archive, one, pixels=False) for one in found if one.resource not in damaged
        ]

    def instances(self, uids: Iterable[str]) -> list[Dataset]:
        """Read the headers of instances of the study.

        Raises
        ------
        GeometryError
            One is not in the archive.
        """
        assert self.series.study is not None
        there = {
            one.resource.instance: one for one in self.archive.instances(Resource(self.series.study.uid))
        }
        wanted = set(uids)
        if not wanted <= there.keys():
            raise GeometryError(
                "The segmentation that this refers to is not on this computer; download it first."
            )
        return [read_instance(self.archive, there[uid], pixels=False) for uid in sorted(wanted)]

    def _is_open_as(self, kind: Kind) -> bool:
        """Return whether what is open is in the archive as this kind of object."""
        study, uid = self.series.study, self.segments.state.data.drawing_uid
        found = study.find(uid) if study is not None else None
        return found is not None and found.kind == kind.series

    @property
    def person(self) -> str:
        """Who saves, by the settings, which may have changed since the viewer began; may be empty."""
        return self._settings.current().person

    def _write(self, value: Segmentation, series: str, kind: Kind) -> Dataset:
        made = kind.write(replace(value, creator=self.person), self.headers(series))
        self.store([made])
        return made


def _part(data: bytes, resource: Resource) -> Part:
    return Part("application/dicom", lambda: iter([data]), length=len(data), resource=resource)
