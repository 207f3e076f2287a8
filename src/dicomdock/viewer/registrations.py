"""The registrations of the shown study, and one that is not saved: where other frames of reference lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dicomdock.archive import Archive
from dicomdock.errors import DamagedInstances, DicomdockError
from dicomdock.imaging.registration import SPATIAL_REGISTRATION, Registration, read_registrations
from dicomdock.viewer.study import Study, read_instance, stored_at

Matrix = np.ndarray


class Registrations:
    """Reads Spatial Registrations when the study has another number of them.

    Parameters
    ----------
    archive : where they are.
    study : returns the study that is shown; None before there is one.
    report : tells the user of one whose file is damaged.
    """

    def __init__(
        self, archive: Archive, study: Callable[[], Study | None], report: Callable[[str], None]
    ) -> None:
        self._archive, self._study, self._report = archive, study, report
        self._read: tuple[tuple[str, int], ...] = ()
        self._found: list[Registration] = []
        self.unsaved: Registration | None = None  # that the user is making; it wins over those of the study
        self.on_unsaved: list[Callable[[], None]] = []

    def between(self, fixed: str, moving: str) -> Matrix | None:
        """Return the matrix from one frame of reference to another; None where no registration joins them.

        The one that was stored last wins. One that cannot be read, or is not rigid, joins nothing.
        """
        if not fixed or not moving:
            return None
        self._look()
        found = [*self._found, *([self.unsaved] if self.unsaved is not None else [])]
        matrices = (one.between(fixed, moving) for one in reversed(found))
        return next((one for one in matrices if one is not None), None)

    def propose(self, made: Registration | None) -> None:
        """Join frames of reference by what the user is making; None for by what is saved alone."""
        if made is not self.unsaved:
            self.unsaved = made
            for callback in self.on_unsaved:
                callback()

    def is_unsaved(self, fixed: str, moving: str) -> bool:
        """Return whether what joins two frames of reference is not saved."""
        return self.unsaved is not None and self.unsaved.between(fixed, moving) is not None

    def _look(self) -> None:
        study = self._study()
        series = [one for one in study.series if one.modality == "REG"] if study is not None else []
        here = tuple((one.uid, one.count) for one in series)
        if here == self._read:
            return
        self._read, self._found = here, []
        instances = [one for each in series for one in self._archive.instances(each.resource)]
        for one in sorted(instances, key=stored_at):
            if one.sop_class_uid == SPATIAL_REGISTRATION:
                try:
                    self._found += read_registrations(read_instance(self._archive, one))
                except DamagedInstances as error:
                    self._report(str(error))
                except (DicomdockError, OSError):
                    continue
