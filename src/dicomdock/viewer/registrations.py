"""The registrations of a patient, and one that is not saved: where other frames of reference lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from dicomdock.archive import Archive
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, DicomdockError
from dicomdock.imaging.registration import SPATIAL_REGISTRATION, Registration, read_registrations
from dicomdock.viewer.study import Study, read_instance, read_priors, stored_at

Matrix = np.ndarray


class Registrations:
    """Reads Spatial Registrations when the study has another number of them.

    Those of the patient's other studies in the archive are looked for once for each two frames of reference
    that none of the shown study joins.

    Parameters
    ----------
    archive : where they are.
    study : returns the study that is shown; None before there is one.
    report : reports one whose file is damaged to the user.
    """

    def __init__(
        self, archive: Archive, study: Callable[[], Study | None], report: Callable[[str], None]
    ) -> None:
        self._archive, self._study, self._report = archive, study, report
        self._read: tuple[tuple[str, int], ...] = ()
        self._found: list[Registration] = []
        self._elsewhere: dict[frozenset[str], list[Registration]] = {}
        self.unsaved: Registration | None = None  # that the user is making; it wins over those of the study
        self.on_unsaved: list[Callable[[], None]] = []

    def between(self, fixed: str, moving: str) -> Matrix | None:
        """Return the matrix from one frame of reference to another; None where no registration joins them.

        One of the shown study wins over those of other studies, else the one that was stored last. One that
        cannot be read, or is not rigid, joins nothing.
        """
        if not fixed or not moving:
            return None
        self._look()
        found = [*self._found, *([self.unsaved] if self.unsaved is not None else [])]
        matrix = _last(found, fixed, moving)
        if matrix is not None or fixed == moving:
            return matrix
        pair = frozenset((fixed, moving))
        if pair not in self._elsewhere:
            self._elsewhere[pair] = self._of_other_studies()
        return _last(self._elsewhere[pair], fixed, moving)

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
        self._read, self._elsewhere = here, {}
        self._found = self._stored(one.resource for one in series)

    def _of_other_studies(self) -> list[Registration]:
        study = self._study()
        others = read_priors(self._archive, study) if study is not None else ()
        return self._stored(Resource(one.uid) for one in others if "REG" in one.modalities.split("\\"))

    def _stored(self, resources: Iterable[Resource]) -> list[Registration]:
        """Read the registrations of studies or series, the one that was stored last at the end."""
        found: list[Registration] = []
        instances = [one for each in resources for one in self._archive.instances(each)]
        for one in sorted(
            (one for one in instances if one.sop_class_uid == SPATIAL_REGISTRATION), key=stored_at
        ):
            try:
                found += read_registrations(read_instance(self._archive, one))
            except DamagedInstances as error:
                self._report(str(error))
            except (DicomdockError, OSError):
                continue
        return found


def _last(found: Sequence[Registration], fixed: str, moving: str) -> Matrix | None:
    matrices = (one.between(fixed, moving) for one in reversed(found))
    return next((one for one in matrices if one is not None), None)
