"""Inspect files before they are stored: is it DICOM, whose is it, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.sources import CHUNK

if TYPE_CHECKING:
    from dicomdock.archive import Archive

Issue = Literal["", "other", "broken", "twice", "clash", "here", "conflict"]
"""``other``: no DICOM; ``broken``: DICOM that cannot be read; ``twice``: the same instance a second time;
``clash``: the UID of another file of the group, with other content; ``here``: in the archive already;
``conflict``: there with other content."""

STORABLE: frozenset[Issue] = frozenset({"", "here"})
"""Issues of files that are stored and sent on nevertheless."""


@dataclass(frozen=True)
class InspectedFile:
    """A file and what it is.

    Parameters
    ----------
    name : as the user knows it, with its folders.
    path : where it lies meanwhile.
    size : bytes.
    resource : its place; None where it names none.
    about : attribute keyword -> text, of patient, study and series.
    issue : what is wrong.
    reason : the same in words.
    """

    name: str
    path: Path
    size: int
    resource: Resource | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    issue: Issue = ""
    reason: str = ""


def inspect_file(name: str, path: Path) -> InspectedFile:
    """Look at one file by itself."""
    from dicomdock.archive.index.attributes import WANTED
    from dicomdock.archive.index.mapping import instance_row, series_row, study_row
    from dicomdock.archive.packed import is_packed, other_packing
    from dicomdock.archive.storage.local import mapped
    from dicomdock.dicom.part10 import HEAD, is_dicomdir, looks_like_dicom, read_header

    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        head = file.read(HEAD)
    if not looks_like_dicom(head):
        packed = is_packed(head) or other_packing(head)
        reason = "a packed file; unpack it, or use 'dicomdock import'" if packed else "no DICOM file"
        return InspectedFile(name, path, size, issue="other", reason=reason)
    if is_dicomdir(head):
        return InspectedFile(
            name, path, size, issue="other", reason="a DICOMDIR, which holds no images itself"
        )
    try:
        header = read_header(head, size, partial(mapped, path), WANTED)
        resource = header.resource()
    except DicomdockError as error:
        return InspectedFile(name, path, size, issue="broken", reason=str(error))
    rows = {**study_row(header), **series_row(header), **instance_row(header)}
    about = {keyword: "" if value is None else str(value) for keyword, value in rows.items()}
    return InspectedFile(name, path, size, resource, {keyword: about.get(keyword, "") for keyword in _ABOUT})


_ABOUT = (
    "PatientName",
    "PatientID",
    "StudyDate",
    "StudyDescription",
    "SeriesNumber",
    "Modality",
    "SeriesDescription",
    "InstanceNumber",
)


@dataclass(frozen=True)
class SeriesGroup:
    """The files of one series.

    Parameters
    ----------
    resource : the series.
    files : by instance number.
    warnings : what is odd about the series as a whole, a sentence each.
    """

    resource: Resource
    files: Sequence[InspectedFile]
    warnings: Sequence[str] = ()

    @property
    def about(self) -> Mapping[str, str]:
        """What the first file says of patient, study and series."""
        return self.files[0].about

    @cached_property
    def storable(self) -> Sequence[InspectedFile]:
        """The files that are stored and sent on."""
        return [file for file in self.files if file.issue in STORABLE]

    @cached_property
    def size(self) -> int:
        """Bytes of what is taken."""
        return sum(file.size for file in self.storable)

    def count(self, *issues: Issue) -> int:
        """How many files have one of these troubles."""
        return sum(file.issue in issues for file in self.files)


def group_series(
    files: Iterable[InspectedFile], archive: Archive
) -> tuple[list[SeriesGroup], list[InspectedFile]]:
    """Group files by patient, study and series, and compare them with each other and with the archive.

    Returns
    -------
    The series; and the files that belong to none.
    """
    rest: list[InspectedFile] = []
    groups: dict[Resource, list[InspectedFile]] = defaultdict(list)
    for file in files:
        if file.resource is None:
            rest.append(file)
        else:
            groups[Resource(file.resource.study, file.resource.series)].append(file)
    odd = _oddities(groups)
    found = [
        SeriesGroup(series, sorted(_compared(series, group, archive), key=_instance_order), odd[series])
        for series, group in groups.items()
    ]
    return sorted(found, key=_group_order), rest


def _compared(series: Resource, group: Sequence[InspectedFile], archive: Archive) -> list[InspectedFile]:
    archived = {one.resource: one.digest for one in archive.instances(series)}
    seen: dict[Resource, InspectedFile] = {}
    compared = []
    for file in group:
        assert file.resource is not None
        if (first := seen.get(file.resource)) is not None:
            same = first.size == file.size and digest(first.path) == digest(file.path)
            reason = f"the same instance as {first.name}" + ("" if same else ", with other content")
            compared.append(replace(file, issue="twice" if same else "clash", reason=reason))
            continue
        seen[file.resource] = file
        if (there := archived.get(file.resource)) is not None:
            same = there == digest(file.path)
            reason = (
                "already in the archive" if same else "already in the archive with other content, which stays"
            )
            file = replace(file, issue="here" if same else "conflict", reason=reason)
        compared.append(file)
    return compared


def _oddities(groups: Mapping[Resource, Sequence[InspectedFile]]) -> dict[Resource, list[str]]:
    """Find UIDs that stand for more than one thing."""
    studies: dict[str, set[str]] = defaultdict(set)
    series: dict[str, set[str]] = defaultdict(set)
    patients: dict[str, set[str]] = defaultdict(set)
    instances: dict[str, set[Resource]] = defaultdict(set)
    for place, files in groups.items():
        studies[place.series or ""].add(place.study)
        for file in files:
            assert file.resource is not None
            series[place.study].add(place.series or "")
            patients[place.study].add(file.about["PatientID"])
            instances[file.resource.instance or ""].add(place)
    shared = {place for places in instances.values() if len(places) > 1 for place in places}
    found: dict[Resource, list[str]] = {}
    for place in groups:
        odd = found[place] = []
        if len(patients[place.study]) > 1:
            odd.append("Its study names several patient IDs.")
        if len(studies[place.series or ""]) > 1:
            odd.append("Its series UID stands in several studies.")
        if place in shared:
            odd.append("Some of its instance UIDs stand in another series too; many servers keep only one.")
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    made = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            made.update(chunk)
    return made.hexdigest()


def _group_order(group: SeriesGroup) -> tuple[str, str, str, str, float, str]:
    about = group.about
    patient = (about["PatientName"], about["PatientID"])
    return (
        *patient,
        about["StudyDate"],
        group.resource.study,
        _number(about["SeriesNumber"]),
        str(group.resource),
    )


def _instance_order(file: InspectedFile) -> tuple[float, str]:
    return _number(file.about["InstanceNumber"]), file.name


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
