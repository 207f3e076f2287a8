"""Export instances as de-identified copies, under names that are made of what leaves.

References
----------
PS3.15 Annex E.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pydicom import Dataset

from dicomdock.archive.export import Copy, Namer, Planned
from dicomdock.deidentify import Deidentifier, HeldBack, Report
from dicomdock.deidentify.attributes import text
from dicomdock.dicom.resource import Resource


class DeidentifiedCopies:
    """What is written of the instances of one export; what is held back is in its report.

    Calling it raises ``MissingDependency`` where pixels that are to be blanked need a decoder that is not
    installed.
    """

    def __init__(self, deidentifier: Deidentifier, report: Report) -> None:
        self._deidentifier = deidentifier
        self._report = report
        self._namer = Namer()

    def __call__(self, one: Planned) -> Copy | None:
        """Return the copy of an instance; None where it is held back."""
        with one.source.open("rb") as file:
            outcome = self._deidentifier.file(file)
        if isinstance(outcome, HeldBack):
            self._report.hold_back(str(one.resource), outcome.reason)
            return None
        self._report.add(outcome.changes, blanked=outcome.blanked)
        resource = self._deidentifier.resource(one.resource)
        return Copy(resource, _name(self._namer, resource, outcome.dataset), outcome.data, len(outcome.data))


def _name(namer: Namer, resource: Resource, dataset: Dataset) -> PurePosixPath:
    """Return a name made of the de-identified attributes."""
    number = text(dataset, "SeriesNumber")
    return namer.name(
        resource,
        "",
        text(dataset, "PatientID") or text(dataset, "PatientName"),
        text(dataset, "StudyDate"),
        text(dataset, "StudyDescription"),
        int(number) if number.lstrip("+-").isdigit() else None,
        text(dataset, "Modality"),
        text(dataset, "SeriesDescription"),
    )
