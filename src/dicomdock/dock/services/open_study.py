"""The one owner of a study that is being opened: where it opens, and what its viewer learns meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args

from dicomdock import rpc
from dicomdock.config.preferences import Preferences
from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.resource import Resource
from dicomdock.dock.addresses import OPEN_PREFERENCE, opening_address
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.prefetch import Prefetch
from dicomdock.dock.services.transfers import Downloads
from dicomdock.dock.services.viewers import Viewers
from dicomdock.errors import DicomdockError, NotInArchive

if TYPE_CHECKING:
    from dicomdock.transfer import Transfer

Where = Literal["viewer", "list", "slicer"]
WHERE: Mapping[Where, str] = {
    "viewer": "In the viewer",
    "list": "As a list of its series",
    "slicer": "In 3D Slicer",
}


class OpenStudy:
    """Opens studies, also while they are being downloaded. Thread-safe; methods may block.

    Parameters
    ----------
    local : the archive.
    downloads : what is on its way.
    prefetch : what servers say about that.
    viewers : shows it.
    preferences : where the user opens studies.
    """

    def __init__(
        self,
        local: LocalArchive,
        downloads: Downloads,
        prefetch: Prefetch,
        viewers: Viewers,
        preferences: Preferences,
    ) -> None:
        self._local = local
        self._downloads = downloads
        self._prefetch = prefetch
        self._viewers = viewers
        self._preferences = preferences
        self._wanted: dict[Resource, tuple[rpc.WantedSegment, ...]] = {}  # by the series
        viewers.observe(self._series_shown, self._reopen)

    @property
    def has_viewer(self) -> bool:
        """The viewer is installed."""
        return self._viewers.available()

    def where(self) -> Where:
        """Return where studies open; without a viewer installed, as a list, unless the user chose."""
        chosen = self._preferences.get(OPEN_PREFERENCE)
        if chosen in get_args(Where):
            return cast(Where, chosen)
        return "viewer" if self.has_viewer else "list"

    def choose(self, where: Where) -> None:
        """Open studies there from now on."""
        self._preferences.set(OPEN_PREFERENCE, where)

    def is_known(self, study: str) -> bool:
        """Return whether there is something to show of a study: in the archive, or on its way."""
        if self._local.archive.present(Resource(study)):
            return True
        transfer = self._downloads.of(study)
        return transfer is not None and bool(self._prefetch.series(transfer, study))

    def want(self, series: Resource, segments: Mapping[str, str]) -> None:
        """Let new segmentations of a series begin with segments whenever its study is opened from now on.

        Parameters
        ----------
        segments : names, each with its codes as 3D Slicer writes them; none where nothing is wanted any more.
        """
        uid = series.series
        assert uid is not None, "segments are drawn on a series"
        if segments:
            self._wanted[series] = tuple(rpc.WantedSegment(uid, *segment) for segment in segments.items())
        else:
            self._wanted.pop(series, None)

    def open(self, resource: Resource) -> str:
        """Open a study in its viewer, which shows what comes as it comes; return the viewer's address.

        Raises
        ------
        MissingDependency
            The viewer is not installed.
        ViewerError
            It does not start on this machine.
        """
        transfer = self._downloads.of(resource.study)
        coming: Sequence[DicomJson] = ()
        if transfer is not None:
            self._downloads.prioritise(resource)
            coming = self._prefetch.series(transfer, resource.study)
        wanted = [
            segment
            for series, segments in self._wanted.copy().items()
            if series.study == resource.study
            for segment in segments
        ]
        return self._viewers.open(resource, pulling=transfer is not None, coming=coming, segments=wanted)

    def entrance(self, resource: Resource) -> str:
        """Open a study and return where to go: its viewer, or its page where one prefers or has to wait."""
        study = resource.study
        if self.where() == "viewer" and self._viewers.is_ready(study) and self.is_known(study):
            try:
                return self.open(resource)
            except DicomdockError:
                pass  # the page tries again, and shows why
        return opening_address(resource)

    def warm(self) -> None:
        """Have a viewer ready, where studies open in it; returns at once."""
        if self.where() == "viewer":
            self._viewers.warm()

    def close(self, study: str) -> None:
        """End the viewer of a study, after it saved what was drawn."""
        self._viewers.close_study(study)

    # What downloads and viewers report

    def pull_started(self, study: str) -> None:
        """Let the viewer of a study expect more of it."""
        self._viewers.pull_changed(study, running=True)

    def pull_ended(self, study: str, reason: str) -> None:
        """Let the viewer of a study expect nothing more."""
        self._prefetch.forget(study)
        self._viewers.pull_changed(study, running=False, reason=reason)

    def _reopen(self, series: Resource) -> str:
        """Open a study again for a page whose viewer had ended.

        Raises
        ------
        NotInArchive
            It was deleted meanwhile.
        """
        if not self.is_known(series.study):
            raise NotInArchive("The study is no longer in the archive.")
        return self.open(series)

    def _series_shown(self, series: Resource) -> None:
        self._downloads.prioritise(series)

        def needed() -> Transfer | None:
            transfer = self._downloads.of(series.study)
            if transfer is None or self._downloads.first_series(series.study) != series.series:
                return None
            return None if self._is_complete(series, transfer) else transfer

        self._prefetch.describe(series, needed, self._viewers.expect)

    def _is_complete(self, series: Resource, transfer: Transfer) -> bool:
        """Return whether all of a series has come, by the number that its server states."""
        listed = self._prefetch.series(transfer, series.study)
        described = next((one for one in listed if text(one, "SeriesInstanceUID") == series.series), {})
        count = text(described, "NumberOfSeriesRelatedInstances")
        return count.isdecimal() and 0 < int(count) <= len(self._local.archive.present(series))
