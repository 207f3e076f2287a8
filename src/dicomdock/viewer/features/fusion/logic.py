"""A volume over another one of the same frame of reference: PET over CT, dose over its plan's images."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dicomdock.imaging.geometry import VolumeGeometry, VolumePlan, Window
from dicomdock.imaging.registration import Registration, moved
from dicomdock.imaging.registration.spatial import VISUAL
from dicomdock.imaging.volume import Volume
from dicomdock.viewer.features.fusion.state import FusionState
from dicomdock.viewer.features.series.logic import SeriesLogic
from dicomdock.viewer.features.views.logic import Views
from dicomdock.viewer.loaded import Loaded
from dicomdock.viewer.loading import Events, Loader
from dicomdock.viewer.page_state import PageState
from dicomdock.viewer.palettes import HOT_IRON
from dicomdock.viewer.registrations import Registrations
from dicomdock.viewer.scene import ShownVolume, add_volume, matrix_of
from dicomdock.viewer.study import Series

STEP = 10  # percent of opacity that a key changes


class FusionLogic:
    """The volume over the shown one.

    Parameters
    ----------
    server, app : trame's and Slicer's.
    series : what is shown below.
    views : where both are shown.
    registrations : of the patient; they bring series of other frames of reference over the shown one.
    """

    def __init__(
        self, server: Any, app: Any, series: SeriesLogic, views: Views, registrations: Registrations
    ) -> None:
        self.app, self.series, self.views, self.registrations = app, series, views, registrations
        self.state = PageState(server.state, FusionState)
        self._loader: Loader | None = None
        self._over: ShownVolume | None = None
        self._loaded: tuple[Series, Loaded] | None = None  # what it was made of
        self._study = ""
        self._tried: set[str] = set()  # series that were laid over the others without being asked for
        self._apart: Volume | None = None  # what lies over the images by a registration, in its own place
        self._by_hand = False  # the series that is read is laid over by hand where nothing registers it
        self._users = False  # the user chose what lies over the images, or that nothing does
        self._observed: tuple[Any, int] | None = None
        self._drawn: ShownVolume | None = None
        self.on_drawn: list[Callable[[], None]] = []  # what is drawn over the images may be another

        control = server.controller
        control.fuse = self.choose
        control.set_fusion_window = self.set_window
        control.use_fusion_preset = self.use_preset
        name = self.state.name
        self.state.bind_changes(
            {
                (name.fusion_on, name.fusion_opacity): lambda *_: self._draw(),
                name.fusion_colours: lambda _: self._colour(),
            }
        )
        series.on_studied.append(self._studied)
        series.on_shown.append(self._draw)
        series.on_complete.append(self._propose)
        series.on_suv_type.append(self._use_suv_type)
        registrations.on_unsaved.append(self._reposition)

    @property
    def drawn(self) -> ShownVolume | None:
        """The volume that is drawn over the images; None where there is none."""
        return self._drawn

    def choose(self, uid: str) -> None:
        """Show a series of the study over the shown one; the one that is shown already is taken away."""
        if uid == self.state.data.fusion_uid:
            self.remove()
        else:
            self._users = True
            self._load(uid)

    def lay_by_hand(self, uid: str) -> None:
        """Show a series of another frame of reference, its middle on that of the images, for a start."""
        self._users = True
        self._load(uid)
        self._by_hand = True

    @property
    def apart(self) -> Volume | None:
        """The volume over the images in its own frame of reference; None where that is the images' own."""
        return self._apart

    def remove(self) -> None:
        """Take the volume away, as the user wants it."""
        self._users = True
        self._forget()

    def put(
        self, uid: str, name: str, volume: Volume, window: Window, colours: str, *, above: float | None = None
    ) -> None:
        """Show a volume that was read elsewhere over the images, as the user wants it.

        Parameters
        ----------
        uid, name : what it is known by.
        colours : name of its colour table.
        above : values below this are not drawn.
        """
        self._users = True
        self._forget()
        with self.state as data:
            data.fusion_uid, data.fusion_on, data.fusion_colours = uid, True, colours
        self._add(name, volume, window, "")
        if above is not None and self._over is not None:
            display = self._over.node.GetDisplayNode()
            display.SetThreshold(above, float("inf"))
            display.SetApplyThreshold(True)

    def toggle(self) -> None:
        """Draw the volume, or hide it."""
        self.state.toggle(self.state.name.fusion_on)

    def more(self, steps: int) -> None:
        """Change the opacity by some steps."""
        with self.state as data:
            data.fusion_opacity = min(max(data.fusion_opacity + steps * STEP, 0), 100)

    def set_window(self, width: float | None, centre: float | None) -> None:
        """Apply a window by its numbers; None for one that stays."""
        if self._over is not None:
            now = self._over.window
            width = float(width) if width is not None and float(width) > 0 else now.width
            centre = now.center if centre is None else float(centre)
            self._over.set_window(Window(centre, width, function="LINEAR_EXACT"))

    def use_preset(self, number: int) -> None:
        """Apply one of the volume's own windows, counted from 0."""
        if self._over is not None and number < len(self._over.volume.windows):
            self._over.set_window(self._over.volume.windows[number])

    def _studied(self) -> None:
        study = self.series.study
        if study is not None and study.uid != self._study:
            self._study, self._users = study.uid, False
            self._tried.clear()
            self._forget()

    def _propose(self) -> None:
        """Lay PET over the CT of its frame of reference, unless the user has chosen himself."""
        study, shown = self.series.study, self.series.series
        if (
            self._users
            or self.state.data.fusion_uid
            or study is None
            or shown is None
            or shown.modality != "CT"
        ):
            return
        wanted = (one for one in study.images() if one.modality == "PT" and one.uid not in self._tried)
        if (one := next(wanted, None)) is not None:
            self._tried.add(one.uid)
            self._load(one.uid)

    def _load(self, uid: str) -> None:
        series = self.series.study.find(uid) if self.series.study is not None else None
        if series is None:
            return
        self._forget()
        with self.state as data:
            data.fusion_uid, data.fusion_on, data.fusion_words = uid, True, f"{series.name} is being read …"
        self._loader = Loader(
            self.series.archive,
            series.resource,
            Events(
                planned=lambda plans: self._planned(series, plans),
                ended=lambda loaded: self._ended(series, loaded),
                failed=lambda why: self._refuse(f"{series.name} cannot be shown: {why}"),
            ),
            loop=asyncio.get_running_loop(),
            arriving=lambda: self.series.pulling,
            due=series.due,
            suv_type=self.series.suv_type,
        )
        self._loader.start()

    def _planned(self, series: Series, plans: Sequence[VolumePlan]) -> None:
        """Read no images that could not be shown."""
        below = self.series.volume
        frame = plans[0].frame_of_reference
        if below is None or same_space(below.frame_of_reference, frame):
            return
        if self.registrations.between(below.frame_of_reference, frame) is not None:
            return
        can_be_registered = bool(below.spatial and below.frame_of_reference and frame)
        if self._by_hand and can_be_registered:
            matrix = np.eye(4)
            matrix[:3, 3] = middle(below.geometry) - middle(plans[0].geometry)
            self.registrations.propose(
                Registration(below.frame_of_reference, frame, matrix, VISUAL, "By hand")
            )
            return
        self._refuse(different_frames(series.name, frame))
        if can_be_registered and not self.state.data.fusion_uid:
            with self.state as data:
                data.fusion_unregistered = series.uid

    def _ended(self, series: Series, loaded: Loaded) -> None:
        if not loaded.filled or loaded.volume.colour or not loaded.volume.spatial:
            why = next(iter(loaded.failed.values()), "it holds no grey volume with a position in the patient")
            self._refuse(f"{series.name} cannot be shown over other images: {why}.".replace("..", "."))
            return
        self._loaded = series, loaded
        self._add_loaded(series, loaded)
        self._use_suv_type()  # it may be another by now

    def _add_loaded(self, series: Series, loaded: Loaded) -> None:
        own = loaded.displayed.straightened()
        volume, words = self._registered(own)
        self._apart = own if words else None
        remarks = " ".join(one for one in (words, loaded.uptake.why_not) if one)
        self._add(series.name, volume, volume.window(), remarks)

    def _use_suv_type(self) -> None:
        if self._loaded is not None and self._loaded[1].uptake.suv_type != self.series.suv_type():
            asyncio.get_running_loop().create_task(self._show_uptake(*self._loaded))

    async def _show_uptake(self, series: Series, loaded: Loaded) -> None:
        """Show PET in the values that were chosen."""
        await loaded.change_uptake(self.series.suv_type)
        if self._loaded != (series, loaded):
            return
        before = self._over
        self._unobserve()
        self._add_loaded(series, loaded)
        if before is not None:
            before.remove(self.app)

    def _unobserve(self) -> None:
        if self._observed is not None:
            self._observed[0].RemoveObserver(self._observed[1])
            self._observed = None

    def _registered(self, volume: Volume) -> tuple[Volume, str]:
        """Return a volume in the frame of reference of the images, with a sentence where it was moved."""
        below = self.series.volume
        if below is None or same_space(below.frame_of_reference, volume.frame_of_reference):
            return volume, ""
        matrix = self.registrations.between(below.frame_of_reference, volume.frame_of_reference)
        if matrix is None:
            return volume, ""
        by_hand = self.registrations.is_unsaved(below.frame_of_reference, volume.frame_of_reference)
        return moved(volume, matrix, below.frame_of_reference), BY_HAND if by_hand else REGISTERED

    def _reposition(self) -> None:
        """Show the volume where its registration brings it by now."""
        below = self.series.volume
        if self._apart is None or self._over is None or below is None:
            return
        volume, words = self._registered(self._apart)
        self._over.volume = volume
        self._over.node.SetIJKToRASMatrix(matrix_of(volume.geometry.ijk_to_ras))
        with self.state as data:
            data.fusion_words = data.fusion_words.replace(REGISTERED, words).replace(BY_HAND, words)
        self._draw()

    def _add(self, name: str, volume: Volume, window: Window, words: str) -> None:
        self._over = add_volume(self.app, volume, name)
        display = self._over.node.GetDisplayNode()
        self._observed = (display, display.AddObserver("ModifiedEvent", self._changed))
        with self.state as data:
            data.fusion_name, data.fusion_words = name, words
            data.fusion_presets = [one.name or f"Header {at + 1}" for at, one in enumerate(volume.windows)]
        self._over.set_window(window)
        self._over.hide_padding()
        self._colour()
        self._draw()

    def _refuse(self, why: str) -> None:
        self._forget()
        with self.state as data:
            data.fusion_words = why
        self._propose()

    def _forget(self) -> None:
        """Take the volume away."""
        if self._loader is not None:
            self._loader.close()
            self._loader = None
        before, self._over, self._loaded, self._apart = self._over, None, None, None
        if self._by_hand:  # also where it did not come to be shown
            self._by_hand = False
            self.registrations.propose(None)
        self._unobserve()
        with self.state as data:
            data.fusion_uid = data.fusion_name = data.fusion_words = data.fusion_unit = ""
            data.fusion_unregistered = ""
            data.fusion_presets = []
        self._draw()
        if before is not None:
            before.remove(self.app)

    def _fits(self, below: Volume, over: Volume) -> bool:
        return below.spatial and same_space(below.frame_of_reference, over.frame_of_reference)

    def _draw(self) -> None:
        """Show the volume over the images, where both are of one frame of reference."""
        data, shown, over = self.state.data, self.series.shown, self._over
        if shown is not None and over is not None:
            fits = self._fits(shown.volume, over.volume)
            if not fits or data.fusion_words.endswith(OTHER_FRAME):
                with self.state:
                    frame = over.volume.frame_of_reference
                    data.fusion_words = "" if fits else different_frames(data.fusion_name, frame)
            if not fits or not self._wanted():
                over = None
        self._drawn = over if data.fusion_on else None
        self.views.show_over(self._drawn, data.fusion_opacity)
        for callback in self.on_drawn:
            callback()

    def _wanted(self) -> bool:
        """Return whether the volume belongs over the shown series: not over itself, and by itself over CT."""
        below = self.series.series
        if below is None or below.uid == self.state.data.fusion_uid:
            return False
        return self._users or below.modality == "CT"

    def _colour(self) -> None:
        if self._over is not None:
            self._over.palette = self.state.data.fusion_colours or HOT_IRON
            self._over.set_window(self._over.window)

    def _changed(self, *_: Any) -> None:
        if self._over is None:
            return
        window = self._over.window
        with self.state as data:
            data.fusion_width, data.fusion_centre = window.stated
            data.fusion_unit = self._over.unit
        self.views.refresh_text()


BY_HAND = "Moved by a registration that is not saved."
REGISTERED = "Moved by a registration of this patient."
OTHER_FRAME = "has another frame of reference than the images."


def same_space(one: str, other: str) -> bool:
    """Return whether two frames of reference are one; what states none lies nowhere."""
    return bool(one) and one == other


def middle(geometry: VolumeGeometry) -> np.ndarray:
    """Return the point in the middle of a volume, in mm, LPS."""
    return geometry.to_lps((np.array(geometry.shape) - 1) / 2)


def different_frames(name: str, frame: str) -> str:
    """Return the sentence of a volume that does not lie in the space of the shown one."""
    return f"{name} is not shown: it {OTHER_FRAME if frame else 'states no frame of reference.'}"
