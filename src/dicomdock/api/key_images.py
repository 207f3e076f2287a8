"""KeyImages: Key Object Selections of the archive with the images that they select."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicomdock.api.home import Home, resource_of
from dicomdock.api.instances import found_in, headers_of_each, read_single
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, InvalidInput
from dicomdock.imaging.key_objects import (
    KEY_OBJECTS,
    TITLES,
    KeyObject,
    KeyObjects,
    key_objects_to_dicom,
    read_key_objects,
)


@dataclass(frozen=True)
class KeyImages:
    """A selection of the archive.

    Parameters
    ----------
    resource : the document.
    keys : its title, description and objects.
    images : what it selects and the archive has, with frames where some were selected.
    remarks : what of it is missing from the archive, one sentence.
    """

    resource: Resource
    keys: KeyObjects
    images: tuple[Resource, ...]
    remarks: tuple[str, ...] = ()


def read(archive: Home, resource: Resource) -> KeyImages:
    """Read a Key Object Selection, and look which of its images are there; see ``Archive.key_images``."""
    dataset = read_single(archive, resource)
    keys = read_key_objects(dataset)
    own = Resource(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), keys.instance)
    found = [
        Resource(one.study or own.study, one.series, one.instance, one.frames)
        for one in keys.objects
        if one.series
    ]
    there = {uid for series in _series(found) for uid in archive.present(series)}
    images = tuple(one for one in found if one.instance in there)
    lost = len(keys.objects) - len(images)
    remarks = (
        (f"{lost} of the {len(keys.objects)} images that {own} selects are not in the archive.",)
        if lost
        else ()
    )
    return KeyImages(own, keys, images, remarks)


def of_study(archive: Home, study: Resource) -> Iterator[KeyImages]:
    """Yield the Key Object Selections of a study; see ``Archive.key_images_of``."""
    damaged: list[str] = []
    for one in found_in(archive, study, SOPClassUID=KEY_OBJECTS):
        try:
            yield read(archive, one)
        except DamagedInstances as error:
            damaged += error.instances
    if damaged:
        raise DamagedInstances(damaged)


def save(archive: Home, images: Sequence[Resource | str], title: str, description: str) -> Resource:
    """Store a Key Object Selection of images of one study; see ``Archive.save_key_images``."""
    if title not in TITLES:
        raise InvalidInput(f"The title is one of {', '.join(TITLES)}, not {title!r}.")
    chosen = [resource_of(one) for one in images]
    headers = headers_of_each(archive, chosen)
    objects = tuple(KeyObject(one.instance or "", tuple(one.frames)) for one in chosen)
    keys = KeyObjects(TITLES[title], objects, description)
    return archive.save_once(keys, lambda: [key_objects_to_dicom(keys, headers)])


def _series(images: Sequence[Resource]) -> list[Resource]:
    return list(dict.fromkeys(Resource(one.study, one.series) for one in images))
