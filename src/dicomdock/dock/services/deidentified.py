"""De-identified copies on the pages and in viewers: what they will show, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource

if TYPE_CHECKING:
    from dicomdock.archive import Archive

SHOWN = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyDescription",
    "InstitutionName",
    "SeriesDescription",
)
"""What a preview shows, by keyword."""

LOOKED_AT = 50  # series whose first instance a preview reads


@dataclass(frozen=True, slots=True)
class Preview:
    """What the copies will show.

    Parameters
    ----------
    values : attributes of the first copy: name and value, empty where it has none.
    held_back : reasons for which series will not leave, each once.
    """

    values: tuple[tuple[str, str], ...]
    held_back: tuple[str, ...]


def preview(archive: Archive, settings: Settings, resources: Sequence[Resource], profile: str) -> Preview:
    """Return what the copies of resources will show, by the first instance of each series; blocks."""
    from pydicom.datadict import dictionary_description

    from dicomdock.deidentify import HeldBack
    from dicomdock.errors import DamagedInstances
    from dicomdock.transfer.deidentified import make_deidentifier

    deidentifier = make_deidentifier(settings, profile)
    values: tuple[tuple[str, str], ...] = ()
    reasons: list[str] = []
    for series in _series(archive, resources)[:LOOKED_AT]:
        found = archive.instances(series)
        if not found:
            continue
        try:
            path = archive.intact_path(found[0])
        except DamagedInstances as error:
            reasons.append(str(error))
            continue
        with path.open("rb") as file:
            if reason := deidentifier.held_back(file):
                reasons.append(reason)
                continue
            if values:
                continue
            file.seek(0)
            outcome = deidentifier.file(file)
        if isinstance(outcome, HeldBack):
            reasons.append(outcome.reason)
            continue
        values = tuple(
            (dictionary_description(keyword), str(outcome.dataset.get(keyword) or "")) for keyword in SHOWN
        )
    return Preview(values, tuple(dict.fromkeys(reasons)))


def words_of(seen: Preview) -> str:
    """Describe what a receiver of de-identified copies will see, and what does not leave."""
    shown = "; ".join(f"{name}: {value}" for name, value in seen.values if value)
    empty = ", ".join(name for name, value in seen.values if not value)
    parts = []
    if shown:
        parts.append(f"The receiver sees {shown}.")
    if empty:
        parts.append(f"Not: {empty}.")
    if seen.held_back:
        parts.append(f"Some series are held back: {'; '.join(seen.held_back)}.")
    return " ".join(parts)


def _series(archive: Archive, resources: Sequence[Resource]) -> list[Resource]:
    """Return the series of resources."""
    found: list[Resource] = []
    for resource in resources:
        if resource.series:
            found.append(Resource(resource.study, resource.series))
            continue
        for page in archive.search(Query("series", {"StudyInstanceUID": resource.study})):
            uids = (text(match.attributes, "SeriesInstanceUID") for match in page.matches)
            found += [Resource(resource.study, uid) for uid in uids]
    return found
