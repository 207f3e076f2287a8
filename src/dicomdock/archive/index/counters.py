"""Count the instances, sizes and modalities of series and studies."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from dicomdock.archive.index.mapping import join_values
from dicomdock.archive.index.schema import instance, series, study


def count_series(connection: Connection, series_id: int) -> None:
    """Bring the series' counts up to date."""
    counts = select(func.count(), func.coalesce(func.sum(instance.c.size), 0)).where(
        instance.c.series == series_id
    )
    number, size = connection.execute(counts).one()
    values = {"NumberOfSeriesRelatedInstances": number, "size": size}
    connection.execute(update(series).where(series.c.id == series_id).values(values))


def count_study(connection: Connection, study_id: int) -> None:
    """Bring the study's counts, modalities and SOP classes up to date."""
    of_study = series.c.study == study_id
    number, instances, size = connection.execute(
        select(
            func.count(),
            func.coalesce(func.sum(series.c.NumberOfSeriesRelatedInstances), 0),
            func.coalesce(func.sum(series.c.size), 0),
        ).where(of_study)
    ).one()
    modalities = connection.execute(select(series.c.Modality).distinct().where(of_study)).scalars()
    classes = connection.execute(
        select(instance.c.SOPClassUID)
        .distinct()
        .join(series, instance.c.series == series.c.id)
        .where(of_study)
    ).scalars()
    values = {
        "NumberOfStudyRelatedSeries": number,
        "NumberOfStudyRelatedInstances": instances,
        "size": size,
        "ModalitiesInStudy": join_values(sorted(modalities)),
        "SOPClassesInStudy": join_values(sorted(classes)),
    }
    connection.execute(update(study).where(study.c.id == study_id).values(values))
