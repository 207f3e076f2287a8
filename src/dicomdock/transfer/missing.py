"""Missing sources: series that objects in the archive refer to, and that are not in it; and who has them.

Segmentations, structures, reports and maps often lie elsewhere than the images that they belong to: the
images on a public store that only reads, the results on one's own server.

References
----------
PS3.3 §C.12.4 (Common Instance Reference).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, GeometryError, InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from dicomdock import federation
    from dicomdock.archive import Archive, ArchivedInstance
    from dicomdock.sources import JsonValue

REFERRING: Final = frozenset(
    {"segmentation", "structures", "report", "key images", "parametric map", "presentation"}
)


@dataclass(frozen=True)
class MissingSource:
    """A series that is referred to and is not in the archive, wholly or in part.

    Parameters
    ----------
    series : what is missing.
    referred_by : an instance of the archive that refers to it.
    instances : SOP Instance UIDs that it names and the archive does not have; empty where it names the
        series alone.
    servers : who has it, as far as asked.
    """

    series: Resource
    referred_by: Resource
    instances: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """Return it as the command line shows it."""
        return {
            "series": str(self.series),
            "referred_by": str(self.referred_by),
            "instances": len(self.instances),
            "servers": [*self.servers],
        }

    @property
    def sentence(self) -> str:
        """What the user should know, and what to do."""
        what = f"{self.referred_by} refers to series {self.series}, which is not in the archive"
        if self.servers:
            offer = f"it can be pulled from {' or '.join(self.servers)}"
            return f"{what}; {offer}: dicomdock pull {self.series} --server {self.servers[0]}"
        keys = f"StudyInstanceUID={self.series.study} SeriesInstanceUID={self.series.series}"
        return f"{what}; 'dicomdock search series {keys} --all' shows who has it."


def missing_sources(archive: Archive, resource: Resource) -> tuple[MissingSource, ...]:
    """Return the series that objects of a resource refer to and that the archive lacks; asks no server.

    Each series is named once. Images count as referring to nothing, and a broken file too.
    """
    found: dict[Resource, MissingSource] = {}
    present = cache(archive.present)  # all objects of a study refer to the same few series
    for one in _referring(archive, resource):
        for missing in _missing(archive, one, present):
            known = found.setdefault(missing.series, missing)
            named = dict.fromkeys((*known.instances, *missing.instances))
            found[missing.series] = replace(known, instances=tuple(named))
    return tuple(found.values())


def _referring(archive: Archive, resource: Resource) -> Iterator[ArchivedInstance]:
    """Return the instances that may refer to others, without reading series of images, which may be large.

    Nothing but the row of the study is read where all its instances are images.
    """
    from dicomdock.dicom.sop_classes import kind_of

    of_study = archive.sop_classes_in_study(resource.study)
    if of_study and REFERRING.isdisjoint(map(kind_of, of_study)):
        return
    for series, classes in archive.sop_classes(resource).items():
        if not REFERRING.isdisjoint(map(kind_of, classes)):
            for one in archive.instances(series if resource.instance is None else resource):
                if kind_of(one.sop_class_uid) in REFERRING:
                    yield one


def locate(
    missing: Sequence[MissingSource],
    sources: Mapping[str, federation.Open],
    *,
    patience: float | None = None,
) -> tuple[MissingSource, ...]:
    """Search servers side by side for what is missing; one that fails or is slow counts as not having it.

    Parameters
    ----------
    patience : seconds; None for as long as any search of several servers waits.
    """
    return tuple(replace(one, servers=_holders(one.series, sources, patience)) for one in missing)


def _holders(
    series: Resource, sources: Mapping[str, federation.Open], patience: float | None
) -> tuple[str, ...]:
    from dicomdock import federation

    match = {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.series or ""}
    if patience is None:
        patience = federation.PATIENCE
    answers = federation.search(sources, Query("series", match), patience=patience)
    holders = [answer.source for answer in answers for one in answer.found if one.resource == series]
    return tuple(name for name in sources if name in holders)  # in the user's order, not the quickest first


def _missing(
    archive: Archive, instance: ArchivedInstance, present_of: Callable[[Resource], set[str]]
) -> Iterator[MissingSource]:
    try:
        references = _references(archive.intact_path(instance), instance.digest)
    except (DamagedInstances, GeometryError, OSError):
        return
    for study, uid, named in references:
        try:
            series = Resource(study or instance.resource.study, uid)
        except InvalidInput:
            continue
        present = present_of(series)
        lacking = tuple(one for one in named if one not in present)
        if lacking or not present:
            yield MissingSource(series, instance.resource, lacking)


@lru_cache(maxsize=512)  # a viewer looks at all objects of its study again after each that it saves
def _references(
    path: Path,
    digest: str,  # noqa: ARG001 - what is known is of these bytes
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return study (may be empty), series and instances that a file of this digest refers to."""
    from dicomdock.imaging.dataset import as_dataset
    from dicomdock.imaging.references import references_of, studies_of_references

    with path.open("rb") as file:
        header = as_dataset(file, pixels=False)
    studies = studies_of_references(header)
    return tuple((studies.get(uid, ""), uid, named) for uid, named in references_of(header).items())
