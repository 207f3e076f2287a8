"""The series of the archive that a segmentation or structure set was drawn on."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicomdock.api.home import Home
from dicomdock.api.volume import Volume, grids
from dicomdock.dicom.json_model import text as value_of
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import is_uid
from dicomdock.errors import GeometryError, InvalidInput, NotInArchive
from dicomdock.imaging.geometry import VolumePlan
from dicomdock.imaging.references import references_of, studies_of_references
from dicomdock.imaging.rtstruct import contours_on, images_of_contours
from dicomdock.imaging.segmentation import Segmentation, has_planes, is_segmentation

MOST_LOOKED_UP = 100  # images of contours, where a structure set names no series


def images_of_object(
    archive: Home, resource: Resource, dataset: Dataset
) -> tuple[Resource | None, list[Volume], str]:
    """Return the series that an object was drawn on, of those in the archive that form volumes.

    It is the first that the object refers to; of a structure set that on which most contours were drawn,
    since its regions may have several frames of reference. A segmentation without positions was drawn on
    images that have none either.

    Returns
    -------
    The series, its volumes, and why there are none: empty where none of its images is in the archive.

    Raises
    ------
    GeometryError
        None does, and one holds what is not an image or damaged.
    """
    refused: GeometryError | None = None
    why_none = ""
    best: tuple[Resource | None, list[Volume]] = None, []
    most, contours = -1, contours_on(dataset)
    flat = is_segmentation(dataset) and not has_planes(dataset)
    for series in _referred_to(archive, resource, dataset):
        try:
            found = grids(archive, series)
        except GeometryError as error:
            refused = refused or error
            continue
        volumes = [
            volume
            for volume, plan in found
            if (not plan.spatial if flat else plan.problem is None and plan.spatial)
        ]
        if not volumes:
            why_none = why_none or next((why for _, plan in found if (why := _why_no_volume(plan))), "")
            continue
        drawn = max(contours_on(dataset, one.frame_of_reference, instances_of(one)) for one in volumes)
        if drawn > most:
            best, most = (series, volumes), drawn
        if drawn == contours:
            break
    if best[0] is None and refused is not None:
        raise refused
    return *best, "" if best[0] else why_none


def _referred_to(archive: Home, resource: Resource, dataset: Dataset) -> Iterator[Resource]:
    """Yield the series of the archive that an object refers to, or that hold the images of its contours."""
    elsewhere = studies_of_references(dataset)
    named = references_of(dataset)
    for uid in named:
        try:
            series = Resource(elsewhere.get(uid, resource.study), uid)
        except InvalidInput:
            continue
        if archive.present(series):
            yield series
    found: set[Resource] = set()
    for uid in images_of_contours(dataset)[:MOST_LOOKED_UP] if not named else ():
        if not is_uid(uid):
            continue
        holder = next(_series_of(archive, Query("instances", {"SOPInstanceUID": uid})), None)
        if holder is not None and holder not in found:
            found.add(holder)
            yield holder


def _why_no_volume(plan: VolumePlan) -> str:
    try:
        plan.require_spatial()
    except GeometryError as error:
        return str(error)
    return ""


def instances_of(volume: Volume) -> frozenset[str]:
    """Return the SOP Instance UIDs of a volume's images."""
    return frozenset(source[0] for source in volume.sources if source is not None)


def images_drawn_on(archive: Home, segmentation: Segmentation) -> Resource:
    """Return the series that a segmentation was drawn on.

    Raises
    ------
    NotInArchive
        The archive has none of its images.
    """
    queries = []
    if segmentation.source_series:
        queries.append(Query("series", {"SeriesInstanceUID": segmentation.source_series}))
    queries += [Query("instances", {"SOPInstanceUID": uid}) for uid in segmentation.source_instances[:1]]
    for query in queries:
        for series in _series_of(archive, query):
            return series
    raise NotInArchive("The images that it was drawn on are not in the archive.")


def _series_of(archive: Home, query: Query) -> Iterator[Resource]:
    for page in archive.search(query):
        for match in page.matches:
            study, series = (value_of(match.attributes, f"{one}InstanceUID") for one in ("Study", "Series"))
            yield Resource(study, series)
