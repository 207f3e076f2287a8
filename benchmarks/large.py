"""A large archive: rows of the index alone, without files behind them, as searching needs no more.

The tables are those that dicomdock itself makes. They are filled past its way of storing, which would take
hours for ten million instances: rows in bulk first, their indexes afterwards.
"""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import accumulate, groupby
from typing import TypeAlias

from dicomdock.archive import Archive
from dicomdock.archive.index import text_search
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import FILE
from dicomdock.archive.index.mapping import folded
from dicomdock.archive.index.offsets import COUNTED, counting_instances
from dicomdock.archive.index.schema import Table, Value, instance, marks, series, study
from dicomdock.config.settings import Settings

STUDIES = 100_000
INSTANCES_PER_STUDY = 10  # on average
SIZE = 500_000  # bytes of an instance
SURNAMES = (
    "Smith", "Müller", "García", "Tanaka", "Okafor", "Rossi", "Novák", "Silva", "Dubois", "Khan",
    "Schmidt", "Hernández", "Nguyễn", "Kowalski", "Jørgensen", "O'Brien", "Yılmaz", "Ivanova",
    "Papadopoulos", "Johansson", "Lefèvre", "Björklund", "Horváth", "Popescu", "Đặng", "Gonçalves",
    "van der Berg", "Weiß", "Kim", "Chen", "Singh", "Haddad", "Mwangi", "Peña", "Šimić", "Łukasiewicz",
    "Ní Dhomhnaill", "Zhao",
)  # fmt: skip
GIVEN = (
    "Jane", "John", "Ana", "Li", "José", "Zoë", "François", "Maria", "Hans", "Aiko", "Søren", "Chloé",
    "Omar", "Ngozi", "Paweł", "İpek", "Elena", "Arjun", "Björn", "Fátima", "Noah", "Mia", "Tomáš",
    "Renée",
)  # fmt: skip
# Modality: its share of the series, most instances of an ordinary series, what is described.
MODALITIES: Mapping[str, tuple[int, int, tuple[str, ...]]] = {
    "CR": (34, 2, ("Thorax pa", "Knee left", "Hand right", "Pelvis ap")),
    "CT": (26, 9, ("Thorax", "CT Abdomen portal venous", "Schädel nativ", "Angio Aorta")),
    "MR": (16, 9, ("Brain", "LWS", "Knee right", "Prostata mpMRT")),
    "US": (13, 6, ("Abdomen", "Thyroid", "Carotis")),
    "MG": (5, 4, ("Screening", "Mammographie bds.")),
    "PT": (3, 9, ("FDG whole body", "PSMA")),
    "XA": (2, 5, ("Coronary angiography",)),
    "SR": (1, 1, ("Dose report",)),
}
LONG = 97  # every so manieth series is long
SLICES = 200  # in a long one
SHARES = [*accumulate(share for share, _, _ in MODALITIES.values())]
CLASSES = """
    WHEN 'CT' THEN '1.2.840.10008.5.1.4.1.1.2' WHEN 'MR' THEN '1.2.840.10008.5.1.4.1.1.4'
    WHEN 'CR' THEN '1.2.840.10008.5.1.4.1.1.1' ELSE '1.2.840.10008.5.1.4.1.1.7'
"""
RARE = "OT"  # the modality of one series in a million

Row: TypeAlias = "Mapping[str, Value]"


def fill(settings: Settings, studies: int = STUDIES) -> int:
    """Make the archive of these settings large, and return how many instances it has.

    Studies of twenty years, in about the order in which they came, one to three series in each; names with
    accents, some of them in Japanese.
    """
    Archive.open(settings).close()
    fill_database = _fill_postgresql if settings.database else _fill_sqlite
    fill_database(settings, [(study, _studies(studies)), (series, _series(studies))])
    Archive.open(settings).close()  # which writes the journal, once
    return sum(_count(one) for one in _series(studies))


def _fill_sqlite(settings: Settings, tables: list[tuple[Table, Iterator[Row]]]) -> None:
    with closing(sqlite3.connect(settings.archive / FILE, isolation_level=None)) as driver:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            driver.execute(f"PRAGMA {pragma}")
        # Fewer and larger pieces of the table of trigrams at a time.
        driver.execute(
            f"INSERT INTO {text_search.TABLE} ({text_search.TABLE}, rank) VALUES ('hashsize', 67108864)"
        )
        connection = Connection(driver, "sqlite")
        _drop_indexes(connection)
        driver.execute("BEGIN")
        for table, rows in tables:
            values = marks(len(table.columns))
            connection.execute_many(
                f"INSERT INTO {table.name} ({_names(table)}) VALUES ({values})", _tuples(table, rows)
            )
        with counting_instances(connection):
            _fill_instances(connection)
        driver.execute("COMMIT")
        _create_indexes(connection)
        driver.execute(
            f"INSERT INTO {text_search.TABLE} ({text_search.TABLE}, rank) VALUES ('hashsize', 1048576)"
        )
        driver.execute("PRAGMA journal_mode = WAL")


def _fill_postgresql(settings: Settings, tables: list[tuple[Table, Iterator[Row]]]) -> None:
    import psycopg

    with psycopg.connect(settings.database) as driver, driver.cursor() as cursor:
        connection = Connection(driver, "postgresql")
        cursor.execute("SET session_replication_role = replica")  # foreign keys are right as they are made
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for keyword in text_search.KEYWORDS:
            cursor.execute(f"DROP INDEX IF EXISTS {text_search.TABLE}_{keyword}")
        _drop_indexes(connection)
        for table, rows in tables:
            with cursor.copy(f"COPY {table.name} ({_names(table)}) FROM STDIN") as copy:
                for row in _tuples(table, rows):
                    copy.write_row(row)
            cursor.execute(f"SELECT setval('{table.name}_id_seq', max(id)) FROM {table.name}")
            counted = COUNTED[table.name]  # else triggers count, which that turned off
            cursor.execute(
                f"INSERT INTO {counted.counts.name} SELECT {counted.part(table.name)}, COUNT(*)"
                f" FROM {table.name} GROUP BY 1"
            )
        with counting_instances(connection):
            _fill_instances(connection)
        _create_indexes(connection)
        text_search.create(connection)
        driver.commit()
        driver.autocommit = True
        cursor.execute("VACUUM ANALYZE")  # as the server does by itself, later


def _drop_indexes(connection: Connection) -> None:
    for table in (study, series, instance):
        for name in table.indexes or {}:
            connection.execute(f"DROP INDEX {name}")


def _create_indexes(connection: Connection) -> None:
    for table in (study, series, instance):
        for statement in table.create_indexes():
            connection.execute(statement)


def _names(table: Table) -> str:
    return ", ".join(column.quoted for column in table.columns)


def _tuples(table: Table, rows: Iterator[Row]) -> Iterator[list[Value]]:
    """Return rows in the order of the columns; what they do not state is empty."""
    names = [column.name for column in table.columns]
    blank: list[Value] = [
        None if column.optional else {"text": "", "flag": False}.get(column.kind, 0)
        for column in table.columns
    ]
    places = {name: place for place, name in enumerate(names)}
    for row in rows:
        filled = blank.copy()
        for name, value in row.items():
            filled[places[name]] = value
        yield filled


def uid(kind: int, number: int) -> str:
    """Return the UID of a study (1), series (2) or instance (3): as those of scanners, in no order."""
    return f"1.2.840.113619.2.{kind}.{number * 2654435761 % (1 << 32):010}.{number * 40503 % 65536}.{number}"


def _count(one: Row) -> int:
    return int(str(one["NumberOfSeriesRelatedInstances"]))


def _studies(studies: int) -> Iterator[Row]:
    chance = random.Random(2)
    names = [{"": name, **folded("", name)} for name in (_name(chance) for _ in range(1 + studies // 10))]
    first = dt.date(2005, 1, 1).toordinal()
    days = [dt.date.fromordinal(first + day).strftime("%Y%m%d") for day in range(7305)]
    for owner, group in groupby(_series(studies), lambda one: one["study"]):
        of_study = [*group]
        number = int(str(owner))
        patient = number // 2  # most have two studies
        turned = patient * 2654435761 % (1 << 32)
        day = days[min(7304, number * 7300 // studies + chance.randrange(5))]
        modalities = sorted({str(one["Modality"]) for one in of_study})
        count = sum(map(_count, of_study))
        name, physician = names[turned % len(names)], names[number % 3000 % len(names)]
        yield {
            "id": number,
            "StudyInstanceUID": uid(1, number),
            **{f"PatientName{part}": text for part, text in name.items()},
            **{f"ReferringPhysicianName{part}": text for part, text in physician.items()},
            "PatientID": f"P{turned % 100}-{patient:07}",
            "PatientBirthDate": f"{1925 + turned % 95}{1 + turned % 12:02}{1 + turned % 28:02}",
            "PatientSex": "FM"[patient % 2],
            "PatientAge": f"{turned % 95:03}Y",
            "StudyDate": day,
            "StudyTime": f"{7 + number % 13:02}{turned % 60:02}{number % 60:02}",
            "StudyDescription": chance.choice(MODALITIES.get(modalities[0], MODALITIES["CT"])[2]),
            "StudyID": str(number % 10_000),
            "AccessionNumber": f"{day[:4]}{number * 7 % 10_000_000:08}",
            "ModalitiesInStudy": "\\".join(("", *modalities, "")),
            "SOPClassesInStudy": "\\1.2.840.10008.5.1.4.1.1.2\\",
            "size": SIZE * count,
            "NumberOfStudyRelatedSeries": len(of_study),
            "NumberOfStudyRelatedInstances": count,
        }


def _name(chance: random.Random) -> str:
    surname = chance.choices(SURNAMES, range(len(SURNAMES) * 2, len(SURNAMES), -1))[0]
    if chance.random() < 0.6:
        surname += f"-{chance.choice(SURNAMES)}"
    name = f"{surname}^{chance.choice(GIVEN)}"
    if chance.random() < 0.5:
        name += f"^{chance.choice(GIVEN)}"
    return "Yamada^Tarou=山田^太郎=やまだ^たろう" if chance.random() < 0.002 else name


def _series(studies: int) -> Iterator[Row]:
    chance = random.Random(3)
    number = 0
    for owner in range(1, studies + 1):
        chosen = chance.choices([*MODALITIES], cum_weights=SHARES)[0]
        for place in range(1, 2 + owner % 3):
            number += 1
            modality = RARE if number % 1_000_000 == 1_000 else chosen
            _, most, described = MODALITIES.get(modality, MODALITIES["CR"])
            yield {
                "id": number,
                "study": owner,
                "SeriesInstanceUID": uid(2, number),
                "Modality": modality,
                "SeriesNumber": place,
                "SeriesDescription": f"{chance.choice(described)} {number % 40}",
                "BodyPartExamined": ("CHEST", "HEAD", "KNEE", "ABDOMEN")[number % 4],
                "Manufacturer": ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "Canon")[number % 4],
                "StationName": f"ROOM{number % 60}",
                "NumberOfSeriesRelatedInstances": (
                    count := SLICES if number % LONG == 0 else 1 + chance.randrange(most)
                ),
                "size": SIZE * count,
                "used": float(number),
            }


def _fill_instances(connection: Connection) -> None:
    """Make the instances of all series within the database, in the order of their series."""
    connection.execute("CREATE TEMPORARY TABLE place (number INTEGER PRIMARY KEY)")
    connection.execute_many("INSERT INTO place VALUES (?)", [(number,) for number in range(1, SLICES + 1)])
    number = "series.id * 1000 + place.number"
    hashed = (
        "lower(hex(randomblob(32)))"
        if connection.dialect == "sqlite"
        else f"md5(({number})::text) || md5('')"
    )
    columns = {
        "series": "series.id",
        "SOPInstanceUID": f"'1.2.840.113619.2.3.' || (({number}) * 40503 % 4294967296) || '.' || ({number})",
        "SOPClassUID": f'CASE "Modality" {CLASSES} END',
        "TransferSyntaxUID": "'1.2.840.10008.1.2.1'",
        "ImageType": "'\\ORIGINAL\\PRIMARY\\AXIAL\\'",
        "InstanceNumber": "place.number",
        "AcquisitionNumber": "1",
        "ContentDate": f"'201' || (({number}) % 10) || '0' || (1 + ({number}) % 9) || (10 + ({number}) % 18)",
        "ContentTime": f"(10 + ({number}) % 14) || '3000'",
        "NumberOfFrames": "NULL",
        "Rows": "512",
        "Columns": "512",
        "BitsAllocated": "16",
        "size": f"{SIZE}",
        "digest": hashed,
        "origin": "'pacs'",
        "made_here": "FALSE",
        "pinned": "FALSE",
        "added": "0",
    }
    names = ", ".join(instance[name].quoted for name in columns)
    connection.execute(
        f"INSERT INTO instance ({names}) SELECT {', '.join(columns.values())} FROM series CROSS JOIN place"
        ' WHERE place.number <= "NumberOfSeriesRelatedInstances" ORDER BY series.id, place.number'
    )
