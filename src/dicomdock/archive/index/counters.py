"""Count the instances, sizes and modalities of series and studies."""

from __future__ import annotations

from collections.abc import Iterable

from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.mapping import join_values, split_values

_COUNT_SERIES = """
UPDATE series SET
    "NumberOfSeriesRelatedInstances" = (SELECT COUNT(*) FROM instance WHERE instance.series = series.id),
    size = (
        SELECT CAST(COALESCE(SUM(instance.size), 0) AS BIGINT) FROM instance WHERE instance.series = series.id
    )
WHERE id = ?
"""
_ADD_TO_SERIES = """
UPDATE series SET "NumberOfSeriesRelatedInstances" = "NumberOfSeriesRelatedInstances" + ?, size = size + ?
WHERE id = ?
"""
_COUNT_STUDY = """
UPDATE study SET
    "NumberOfStudyRelatedSeries" = (SELECT COUNT(*) FROM series WHERE series.study = study.id),
    "NumberOfStudyRelatedInstances" = (
        SELECT CAST(COALESCE(SUM(series."NumberOfSeriesRelatedInstances"), 0) AS BIGINT)
        FROM series WHERE series.study = study.id
    ),
    size = (SELECT CAST(COALESCE(SUM(series.size), 0) AS BIGINT) FROM series WHERE series.study = study.id),
    "ModalitiesInStudy" = ?
WHERE id = ?
"""
_MODALITIES = 'SELECT DISTINCT "Modality" FROM series WHERE study = ?'
_CLASSES = """
SELECT DISTINCT instance."SOPClassUID" FROM instance JOIN series ON instance.series = series.id
WHERE series.study = ?
"""
_SET_CLASSES = 'UPDATE study SET "SOPClassesInStudy" = ? WHERE id = ?'


def count_series(connection: Connection, series_id: int) -> None:
    """Bring the series' counts up to date."""
    connection.execute(_COUNT_SERIES, series_id)


def add_to_series(connection: Connection, series_id: int, sizes: Iterable[int]) -> None:
    """Add instances to the series' counts: a recount for each group of a large series would be quadratic."""
    sizes = list(sizes)
    connection.execute(_ADD_TO_SERIES, len(sizes), sum(sizes), series_id)


def count_study(connection: Connection, study_id: int) -> None:
    """Bring the study's counts, modalities and SOP classes up to date."""
    _count_study(connection, study_id)
    classes = connection.column(_CLASSES, study_id)
    connection.execute(_SET_CLASSES, join_values(sorted(classes)), study_id)


def add_to_study(connection: Connection, study_id: int, classes: Iterable[str]) -> None:
    """Bring a study up to date to whose series instances of these SOP classes were added."""
    _count_study(connection, study_id)
    row = connection.first('SELECT "SOPClassesInStudy" FROM study WHERE id = ?', study_id)
    known = {*split_values(row[0] if row else "")}
    if not known.issuperset(filter(None, classes)):
        connection.execute(_SET_CLASSES, join_values(sorted(known.union(classes))), study_id)


def _count_study(connection: Connection, study_id: int) -> None:
    modalities = join_values(sorted(connection.column(_MODALITIES, study_id)))
    connection.execute(_COUNT_STUDY, modalities, study_id)
