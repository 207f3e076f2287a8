"""The instances of a series in the archive, as imaging takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset

from dicomdock.api.home import Home
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import GeometryError, InvalidInput, NotInArchive
from dicomdock.imaging.dataset import as_dataset
from dicomdock.sources import Part

READERS = 2  # files read side by side; more wait for each other, since parsing holds the interpreter


class Retrieving(Protocol):
    """The archive, as far as instances are read from it."""

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Yield the instances of a resource as their files, each compared with its digest before."""


def paths_of(archive: Retrieving, resource: Resource) -> list[Path]:
    """Return the files of a resource, each compared with its digest before, and note that it was used.

    Raises
    ------
    NotInArchive
        Nothing of it is in the archive.
    DamagedInstances
        Files of it are not what was stored.
    """
    return [part.path for part in archive.retrieve(resource) if part.path is not None]


def read_single(archive: Home, resource: Resource) -> Dataset:
    """Read the only instance of a resource.

    Raises
    ------
    NotInArchive
        Nothing of it is in the archive.
    InvalidInput
        It has several.
    GeometryError
        The file is damaged.
    """
    paths = paths_of(archive, resource)
    if len(paths) > 1:
        kind = str(read(paths[0], pixels=False).get("Modality") or "")
        of_kind = f" of {kind}" if kind.isalnum() else ""
        raise InvalidInput(
            f"{resource} holds {len(paths)} instances{of_kind}; name one: STUDY/SERIES/INSTANCE."
        )
    return read(paths[0])


def read(path: Path, *, pixels: bool = True) -> Dataset:
    """Read one instance.

    Raises
    ------
    GeometryError
        The file is damaged.
    """
    try:
        with path.open("rb") as file:
            return as_dataset(file, pixels=pixels)
    except GeometryError as error:
        raise GeometryError(f"{path}: {error.reason}", error.instances) from error
    except OSError as error:
        raise GeometryError(f"{path}: {error.strerror or error}") from error


def headers_of(paths: Sequence[Path]) -> list[Dataset]:
    """Read instances without their pixels, in the order of the paths."""
    with ThreadPoolExecutor(READERS, "headers") as pool:
        return list(pool.map(lambda path: read(path, pixels=False), paths))


def found_in(archive: Home, study: Resource, **criteria: str) -> Iterator[Resource]:
    """Yield the instances of a study that match, by keywords such as ``SOPClassUID``.

    Raises
    ------
    NotInArchive
        Nothing of the study is in the archive.
    """
    uid, matched = {"StudyInstanceUID": study.study}, False
    for page in archive.search(Query("instances", {**uid, **criteria})):
        for match in page.matches:
            matched = True
            series, instance = (
                text(match.attributes, name) for name in ("SeriesInstanceUID", "SOPInstanceUID")
            )
            yield Resource(study.study, series, instance)
    if not matched and not any(page.matches for page in archive.search(Query("studies", uid, limit=1))):
        raise NotInArchive(f"{study.study} is not in the local archive.")


def headers_of_each(archive: Home, images: Iterable[Resource]) -> list[Dataset]:
    """Read the headers of instances, whatever frames of them are named.

    Raises
    ------
    InvalidInput
        A resource is not an instance.
    NotInArchive
        An instance is not in the archive.
    """
    headers = []
    for one in images:
        if one.instance is None:
            raise InvalidInput(f"{one} is not an instance; name one: STUDY/SERIES/INSTANCE.")
        headers += headers_of(paths_of(archive, Resource(one.study, one.series, one.instance)))
    return headers
