"""A large archive: rows of the index alone, without files behind them, as searching needs no more."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import islice

from dicomdock.archive import Archive
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.mapping import folded
from dicomdock.archive.index.schema import Table, Value, instance, marks, series, study
from dicomdock.config.settings import Settings

STUDIES = 100_000
INSTANCES = 1_000_000
SERIES_PER_STUDY = 3
AT_ONCE = 10_000  # rows in one statement
SURNAMES = ("Smith", "Müller", "Garcia", "Tanaka", "Okafor", "Rossi", "Novák", "Silva", "Dubois", "Khan")


def fill(settings: Settings, studies: int = STUDIES, instances: int = INSTANCES) -> None:
    """Make the archive of these settings large: studies over twenty years, three series in each."""
    Archive.open(settings).close()
    index = Index(settings.database, settings.archive)
    chance = random.Random(2)
    in_series = studies * SERIES_PER_STUDY
    try:
        with index.writing() as connection:
            _put(connection, study, (_study(number, chance) for number in range(1, studies + 1)))
            _put(connection, series, (_series(number) for number in range(1, in_series + 1)))
            _put(connection, instance, (_instance(number, in_series) for number in range(1, instances + 1)))
    finally:
        index.close()


def _put(connection: Connection, table: Table, rows: Iterator[Mapping[str, Value]]) -> None:
    """Insert rows with their numbers; what they do not state is empty."""
    names = [column.name for column in table.columns]
    blank: dict[str, Value] = {
        column.name: {"text": "", "flag": False}.get(column.kind, 0) for column in table.columns
    }
    statement = f"INSERT INTO {table.name} ({', '.join(map(_quoted, names))}) VALUES ({marks(len(names))})"
    while some := list(islice(rows, AT_ONCE)):
        connection.execute_many(statement, ([{**blank, **row}[name] for name in names] for row in some))


def _quoted(name: str) -> str:
    return f'"{name}"'


def _study(number: int, chance: random.Random) -> Mapping[str, Value]:
    name = f"{chance.choice(SURNAMES)}{number % 997}^{chance.choice(('Jane', 'John', 'Ana', 'Li'))}"
    day = 1 + number % 28
    return {
        "id": number,
        "StudyInstanceUID": f"1.2.3.{number}",
        "PatientName": name,
        **folded("PatientName", name),
        "PatientID": f"P{number:07}",
        "StudyDate": f"{2005 + number % 20}{1 + number % 12:02}{day:02}",
        "StudyTime": f"{number % 24:02}{number % 60:02}00",
        "StudyDescription": "Thorax",
        "ModalitiesInStudy": "\\CT\\",
        "PatientSex": "FM"[number % 2],
        "AccessionNumber": f"A{number * 7:08}",
        "size": 1_500_000,
        "NumberOfStudyRelatedSeries": SERIES_PER_STUDY,
        "NumberOfStudyRelatedInstances": INSTANCES // STUDIES,
    }


def _series(number: int) -> Mapping[str, Value]:
    return {
        "id": number,
        "study": 1 + (number - 1) // SERIES_PER_STUDY,
        "SeriesInstanceUID": f"1.2.4.{number}",
        "Modality": "CT",
        "SeriesNumber": number % SERIES_PER_STUDY,
        "SeriesDescription": f"axial {number % 40}",
        "size": 500_000,
        "used": float(number),
    }


def _instance(number: int, in_series: int) -> Mapping[str, Value]:
    return {
        "id": number,
        "series": 1 + number % in_series,
        "SOPInstanceUID": f"1.2.5.{number}",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "ImageType": "\\ORIGINAL\\PRIMARY\\AXIAL\\",
        "InstanceNumber": number % 500,
        "Rows": 512,
        "Columns": 512,
        "size": 500_000,
        "origin": "pacs",
    }
