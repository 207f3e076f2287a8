"""The series of the study: which one is shown, how far it has come, and the volumes in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

from dicomdock import rpc
from dicomdock.archive import Archive
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.geometry import VolumePlan, Window
from dicomdock.viewer.features.layout.layouts import AXIAL, BESIDE, CORONAL, SAGITTAL
from dicomdock.viewer.features.series.arrival import arrival_marks
from dicomdock.viewer.features.series.state import SeriesRow, SeriesState
from dicomdock.viewer.features.series.thumbnails import thumbnail_address
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.loaded import Loaded
from dicomdock.viewer.loading import Events, Loader
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.scene import ShownVolume, add_volume
from dicomdock.viewer.study import Series, Study, read_study

REFRESH = 0.22  # seconds at least between two redraws of a series that is arriving
REDRAWS = 32  # of a series that arrives quickly; else a large one is drawn for longer than it is read
SLOWEST = 1.0  # seconds from what arrives slowly to its redraw


class SeriesLogic:
    """Opens series and shows them.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    views : where they are shown.
    archive : where they come from.
    notifications : shows messages to the user.
    send : writes an event to the dock.
    """

    def __init__(
        self,
        server: Any,
        app: Any,
        views: Views,
        archive: Archive,
        notifications: Any,
        send: Callable[[rpc.Event], None],
    ) -> None:
        self.server, self.app, self.state = server, app, PageState(server.state, SeriesState)
        self.views, self.archive, self.notifications, self._send = views, archive, notifications, send
        self.study: Study | None = None
        self.series: Series | None = None
        self.loaded: Loaded | None = None
        self.shown: ShownVolume | None = None
        self.pulling = False
        self._asked = Resource("0")
        self._coming: Sequence[DicomJson] = ()
        self._expected: dict[str, Sequence[DicomJson]] = {}
        self._plans: dict[str, list[VolumePlan]] = {}
        self._loader: Loader | None = None
        self._dirty = False
        self._drawn, self._redrawn = 0, 0.0  # slices that the last redraw had, and when it was
        self._choice = 0
        self._another_volume = False  # of the series that was shown before it
        self._own_window: Window | None = None  # that the user chose for that one
        self._seen = False  # an image of what is shown
        self._counted = 0  # images of the shown series, as last reported to the user
        self._user_window = False
        self._failed_early = False  # before anything could be shown; more of the study may mend it
        self.on_shown: list[Callable[[], None]] = []
        self.on_complete: list[Callable[[], None]] = []
        self.on_studied: list[Callable[[], None]] = []
        self.on_suv_type: list[Callable[[], None]] = []  # PET is to be shown in other values
        server.controller.open_series = self.open_series
        name = self.state.name
        self.state.bind_changes({name.volume_at: self._volume_chosen, name.suv_type: self._suv_type_chosen})

    @property
    def volume(self) -> Any:
        """The volume that is looked at; None before there is one."""
        return self.shown.volume if self.shown is not None else None

    @property
    def scanned(self) -> Any:
        """The volume on the scanner's slices, even if a straight one is shown; None before it is there."""
        return self.loaded.volume if self.loaded is not None else None

    @property
    def complete(self) -> bool:
        """Whether the shown series is complete, so that it can be worked on."""
        return self.loaded is not None and self.loaded.complete and not self.loaded.provisional

    @property
    def asked(self) -> Resource:
        """What was asked for last: the study, or the series of it to begin with."""
        return self._asked

    def open(self, resource: Resource, *, pulling: bool, coming: Sequence[DicomJson] = ()) -> None:
        """Show a study, from the series that was asked for on.

        Parameters
        ----------
        pulling : the study is being downloaded.
        coming : the series that are, as their server describes them.
        """
        if resource.study != self._asked.study:
            self.series = self.loaded = None
            self._plans.clear()
            self._show_empty("Opening the study", "")
        elif self.series is not None and resource.series not in (None, self.series.uid):
            self.series = None  # another one of the study is wanted now
        self._asked, self.pulling, self._coming = resource, pulling, coming
        self._look()

    def expect(self, series: str, metadata: Sequence[DicomJson]) -> None:
        """Receive the server's metadata of a series that is being retrieved."""
        self._expected[series] = metadata
        if self._loader is not None and self._loader.series.series == series:
            self._loader.expect(metadata)

    def pull_changed(self, pulling: bool, why: str = "") -> None:
        """The study's download began or ended; ``why`` where it ended before its time."""
        self.pulling = pulling
        if not pulling:
            self._coming = ()
        self._look()
        if why:
            self.notifications.error(f"Not all of the study arrived. {why}")

    async def watch(self) -> None:
        """Redraw what arrives, a few times a second; look for new series while something arrives."""
        since = 0.0
        while True:
            await asyncio.sleep(REFRESH)
            if self.loaded is not None and self.shown is not None and self._must_redraw(self.loaded):
                self._dirty, self._redrawn, self._drawn = False, monotonic(), len(self.loaded.filled)
                if not self.shown.volume.windows and not self._user_window:
                    self.shown.set_window(self.loaded.guess_window())
                self.shown.changed()
                with self.state:
                    self._show_arrival()
            since += REFRESH
            if self.pulling and since > 1.0:
                since = 0.0
                self._look()

    def _must_redraw(self, loaded: Loaded) -> bool:
        more = abs(len(loaded.filled) - self._drawn)
        return self._dirty and (
            more * REDRAWS >= loaded.due or monotonic() - self._redrawn > SLOWEST or loaded.provisional
        )

    def open_series(self, uid: str, volume: int = 0) -> None:
        """Show a series of the study."""
        series = self.study.find(uid) if self.study is not None else None
        if series is None:
            return
        self._start(series, volume)

    def volume_of(self, instance: str, frame: int) -> int | None:
        """Return which volume of the shown series holds a frame; None for none."""
        plans = self._plans.get(self.series.uid, ()) if self.series is not None else ()
        return next((at for at, plan in enumerate(plans) if frame in plan.places(instance)), None)

    def refresh(self) -> None:
        """Read again what the study contains."""
        self._look()

    def _look(self) -> None:
        before = self.study
        self.study = read_study(self.archive, self._asked.study, self._coming)
        with self.state as data:
            data.series_list = series_rows(self.study.series)
            data.study_words = ", ".join(word for word in (self.study.description, self.study.date) if word)
            self.server.state.trame__title = self.study.title
        for callback in self.on_studied:
            callback()
        known_better = before is not None and before.patient_lines != self.study.patient_lines
        if known_better and self.shown is not None and self.series is not None:
            self._describe()
        if self.series is None or self._failed_early:
            self._start_first()
        elif self.complete and self._has_late_images():
            self.notifications.error(
                "More images of this series have arrived; choose it again in the list to see them."
            )

    def _start_first(self) -> None:
        assert self.study is not None
        wanted = self.study.find(self._asked.series or "")
        if wanted is None or wanted.kind not in ("image", "parametric map"):
            maps = (one for one in self.study.series if one.kind == "parametric map")
            wanted = self.study.largest() or next(maps, None)
        if wanted is not None:
            self._start(wanted, 0)
        elif self.pulling:
            self._show_empty("The study is on its way", "The first image is shown as soon as it has arrived.")
        elif any(one.kind in ("segmentation", "structures", "report") for one in self.study.series):
            self._show_empty(
                "This study has no images on this computer",
                "Its segmentations, structures or reports belong to images that have not been downloaded.",
            )
        elif self.study.series:
            self._show_empty("This study has no images", "What it holds is listed in the series panel.")
        else:
            self._show_empty(
                "This study is not on this computer", "Download it in dicomdock, then open it again."
            )

    def _has_late_images(self) -> bool:
        """Return whether images of the shown series arrived after it was considered complete."""
        assert self.study is not None and self.series is not None
        now = self.study.find(self.series.uid)
        known = sum(len(plan.instances) for plan in self._plans.get(self.series.uid, ()))
        late = now is not None and 0 < known < now.count and now.count > self._counted
        if late and now is not None:
            self._counted = now.count
            self._plans.pop(self.series.uid, None)
        return late

    def _show_empty(self, title: str, words: str) -> None:
        with self.state as data:
            data.empty_title, data.empty_words = title, words

    def _start(self, series: Series, choice: int) -> None:
        if self._loader is not None:
            self._loader.close()
        self._another_volume = (
            self.shown is not None and self.series is not None and series.uid == self.series.uid
        )
        same_window = self.shown is not None and self._another_volume and self._user_window
        self._own_window = self.shown.window if same_window and self.shown is not None else None
        self.series, self.loaded, self._choice = series, None, choice
        self._user_window = self._failed_early = False
        with self.state as data:
            data.series_uid = series.uid
            data.complete = False
            data.remarks = []
            data.volumes = []
            data.volume_at = choice
            if data.empty_title:
                data.empty_title, data.empty_words = "Opening the series", ""
        self._send(rpc.SeriesShown(series.uid))
        self._loader = Loader(
            self.archive,
            series.resource,
            Events(self._planned, self._allocated, self._filled, self._ended, self._failed),
            loop=asyncio.get_running_loop(),
            arriving=lambda: self.pulling,
            expected=self._expected.get(series.uid, ()),
            due=series.due,
            choice=choice,
            suv_type=self.suv_type,
            plans=() if self.pulling else self._plans.get(series.uid, ()),
        )
        self._loader.start()

    def _planned(self, plans: Sequence[VolumePlan]) -> None:
        assert self.series is not None
        self._plans[self.series.uid] = list(plans)
        with self.state as data:
            data.volumes = (
                [f"{plan.label or 'images'}, {len(plan.planes)} slices" for plan in plans]
                if len(plans) > 1
                else []
            )

    def _allocated(self, loaded: Loaded) -> None:
        assert self.series is not None and self.study is not None
        self.loaded = loaded
        if loaded.volume.geometry.sheared and not loaded.complete:
            return  # a tilted gantry's slices are set straight when all are here
        before = self.shown.volume.geometry if self.shown is not None and self._another_volume else None
        stay = before is not None and before.matches(loaded.volume.geometry)
        self._show(loaded, add_volume(self.app, loaded.volume, self.series.name), refit=not stay)
        self._seen = stay
        if stay and self._own_window is not None and self.shown is not None:
            self.shown.set_window(self._own_window)
            self._user_window = True
        self._see(loaded)

    def _see(self, loaded: Loaded) -> None:
        """Go to the first image that has arrived, where the middle one has not."""
        at = self.views.slice_at()
        if self._seen or at is None or not loaded.filled:
            return
        self._seen = True
        if at not in loaded.filled:
            _, rows, columns = loaded.volume.geometry.shape
            present = min(sorted(loaded.filled), key=lambda k: abs(k - at))
            self.views.look_at(loaded.volume.geometry.to_lps((present, rows // 2, columns // 2)))

    def _show(self, loaded: Loaded, shown: ShownVolume, *, refit: bool = True) -> None:
        assert self.series is not None and self.study is not None
        before, self.shown = self.shown, shown
        shown.alone = loaded.note
        shown.set_window(loaded.first_window())
        with self.state as data:
            data.kind_3d = loaded.volume.spatial
            data.empty_title = data.empty_words = ""
            data.remarks = [*loaded.plan.remarks, *self._problem(loaded)]
        self.views.show(shown, refit=refit)
        self._describe()
        self._dirty, self._redrawn = True, 0.0
        for callback in self.on_shown:
            callback()
        if before is not None:
            before.remove(self.app)

    def _describe(self) -> None:
        """Name patient, study and series in the corners."""
        assert self.series is not None and self.study is not None
        plans = self._plans.get(self.series.uid, ())
        several = len(plans) > 1 and self._choice < len(plans) and plans[self._choice].label
        name = f"{self.series.name}\n{several}" if several else self.series.name
        self.views.describe(self.study, name, (AXIAL, SAGITTAL, CORONAL))

    def _filled(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._dirty = True
        if loaded.provisional and self.shown is not None:  # the others are here, and being read
            self.shown.alone = loaded.note
            self.views.refresh_text()
            return
        self._see(loaded)
        if self._loader is not None and (at := self.views.slice_at()) is not None:
            self._loader.look_at(at)

    def _ended(self, loaded: Loaded) -> None:
        assert self.series is not None
        self.loaded = loaded
        in_uptake = loaded.uptake.volume is not None
        if loaded.volume.geometry.sheared or in_uptake:
            straight = loaded.displayed.straightened()
            refit = straight.geometry is not loaded.volume.geometry
            self._show(loaded, add_volume(self.app, straight, self.series.name), refit=refit)
        assert self.shown is not None
        if not self.shown.volume.windows and (in_uptake or not self._user_window):
            self.shown.set_window(loaded.guess_window())
        self.shown.changed()
        with self.state as data:
            data.complete = loaded.complete
            data.remarks = [*loaded.plan.remarks, *self._problem(loaded)]
            self._show_arrival()
            if loaded.failed and not loaded.filled:  # with the rest: no page calls an empty picture complete
                self._show_empty("This series cannot be shown", next(iter(loaded.failed.values())))
        self.views.refresh_text()
        for callback in self.on_complete:
            callback()
        self._send(rpc.Settled())
        self._use_suv_type()  # it may be another by now

    def suv_type(self) -> str:
        """Return the SUV Type that PET is shown in."""
        return self.state.data.suv_type

    def _suv_type_chosen(self, _suv_type: str) -> None:
        for callback in self.on_suv_type:
            callback()
        self._use_suv_type()

    def _use_suv_type(self) -> None:
        loaded = self.loaded
        if loaded is not None and self.state.data.complete and loaded.uptake.suv_type != self.suv_type():
            asyncio.get_running_loop().create_task(self._show_uptake(loaded))

    async def _show_uptake(self, loaded: Loaded) -> None:
        """Show PET in the values that were chosen."""
        others = await loaded.change_uptake(self.suv_type)
        if self.loaded is not loaded or self.series is None:
            return
        if others:
            self._user_window = False
            shown = add_volume(self.app, loaded.displayed.straightened(), self.series.name)
            self._show(loaded, shown, refit=False)
            for callback in self.on_complete:
                callback()
        with self.state as data:
            data.remarks = [*loaded.plan.remarks, *self._problem(loaded)]
        self.views.refresh_text()

    def _failed(self, why: str) -> None:
        self._send(rpc.Settled())
        if self.shown is None or self.loaded is None:
            self._failed_early = self.pulling
            self._show_empty("This series cannot be shown", why)
        else:
            self.notifications.error(why)

    def _problem(self, loaded: Loaded) -> list[str]:
        problems = [str(loaded.plan.problem)] if loaded.plan.problem is not None else []
        if loaded.failed:
            some = next(iter(loaded.failed.values()))
            many = "1 image" if len(loaded.failed) == 1 else f"{len(loaded.failed)} images"
            problems.append(f"{many} of the series cannot be shown: {some}")
        return [*problems, loaded.uptake.why_not] if loaded.uptake.why_not else problems

    def window_touched(self) -> None:
        """The user chose a window himself; arrival does not change it any more."""
        self._user_window = True

    def _show_arrival(self) -> None:
        loaded = self.loaded
        if loaded is None:
            return
        done = loaded.complete or loaded.provisional
        present, due = len(loaded.filled), loaded.due
        self.state.data.arrival_words = "" if done else f"{present} of {due} images have arrived"
        whole = self.views.shown()
        across = self.views.slice_at() is not None and whole is self.shown
        marks = "" if done else arrival_marks(loaded.filled, loaded.plan.geometry.shape[0])
        share = "" if done else arrival_marks(set(range(present)), max(1, due))
        for view in self.views.slices():
            tag = view.get_singleton_tag()
            if tag not in BESIDE:
                self.views.show_arrival(tag, marks if tag == AXIAL and across else share)

    def _volume_chosen(self, volume: int) -> None:
        if self.series is not None and self.state.data.volumes and volume != self._choice:
            self._start(self.series, volume)


def series_rows(found: Iterable[Series]) -> list[SeriesRow]:
    """Return series as the page lists them."""
    return [
        SeriesRow(
            one.uid,
            one.name,
            one.kind,
            one.modality,
            f"{one.count} of {one.due}" if one.due > one.count else str(one.count),
            thumbnail_address(one.resource) if one.kind == "image" and one.count else "",
        )
        for one in found
    ]
