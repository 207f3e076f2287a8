"""Eviction: making room by removing what was not used for longest and lies on a server too.

The unit is the series. Never touched: what is pinned, what was made here, and what no server is known to
have.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import remove_rows
from dicomdock.archive.index.schema import instance, sent, series, study
from dicomdock.archive.recovery import remove_doomed
from dicomdock.archive.storage.local import Files
from dicomdock.dicom.resource import Resource


@dataclass(frozen=True, slots=True)
class Eviction:
    """What was evicted.

    Parameters
    ----------
    removed : the series.
    freed : bytes.
    left : bytes that the archive holds now; above the limit where nothing more may be evicted.
    """

    removed: tuple[Resource, ...]
    freed: int
    left: int


def evict(files: Files, index: Index, limit: int) -> Eviction:
    """Remove the least recently used series until no more than ``limit`` bytes are kept."""
    removed: list[Resource] = []
    freed = 0
    with index.writing() as connection:
        held = int(connection.execute(select(func.coalesce(func.sum(study.c.size), 0))).scalar_one())
        candidates = (
            select(study.c.StudyInstanceUID, series.c.SeriesInstanceUID, series.c.size)
            .join(study, series.c.study == study.c.id)
            .where(_may_go())
            .order_by(series.c.used, series.c.id)
        )
        for study_uid, series_uid, size in connection.execute(candidates).all() if held > limit else ():
            if held - freed <= limit:
                break
            resource = Resource(study_uid, series_uid)
            remove_rows(connection, resource)
            removed.append(resource)
            freed += size
    if removed:
        remove_doomed(files, index)
    return Eviction(tuple(removed), freed, held - freed)


def _may_go() -> ColumnElement[bool]:
    on_a_server = or_(
        instance.c.origin != "", exists(select(sent.c.instance).where(sent.c.instance == instance.c.id))
    )
    kept = select(instance.c.id).where(
        instance.c.series == series.c.id, or_(instance.c.pinned, instance.c.made_here, ~on_a_server)
    )
    return and_(~series.c.pinned, ~study.c.pinned, ~exists(kept.correlate(series)))
