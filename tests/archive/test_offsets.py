"""Pages far behind the first: the right rows, and few others are read for them, whatever came and went."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.index import access, offsets
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.schema import instance, series, study
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from tests.archive.conftest import part
from tests.builders import ct_series

UIDS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
STUDIES = 300


@pytest.fixture
def index(archive_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index of an archive with a series and an instance in each study, counted in small parts."""
    for level in ("series", "instance"):
        monkeypatch.setitem(offsets.COUNTED, level, replace(offsets.COUNTED[level], size=16))
    Archive.open(archive_settings).close()
    opened = Index(archive_settings.database, archive_settings.archive)
    with opened.writing() as connection:
        for number in range(STUDIES):
            put(connection, number)
    yield opened
    opened.close()


def put(connection: Connection, number: int) -> None:
    at = {"added": 0.0, "used": 0.0}
    row = {
        "StudyInstanceUID": f"1.2.{number}",
        "StudyDate": f"{2000 + number % 20}0101" if number % 7 else "",
    }
    connection.insert(study, [study.values(row | at)])
    (owner,) = connection.column("SELECT max(id) FROM study")
    connection.insert(series, [series.values({"study": owner, "SeriesInstanceUID": f"1.3.{number}"} | at)])
    (owner,) = connection.column("SELECT max(id) FROM series")
    row = {"series": owner, "SOPInstanceUID": f"1.4.{number}", "size": 1, "digest": "", "origin": ""}
    with offsets.counting_instances(connection):
        connection.insert(instance, [instance.values(row | at | {"made_here": False})])


def found(archive: Archive, query: Query) -> list[str]:
    return [text(one.attributes, UIDS[query.level]) for page in archive.search(query) for one in page.matches]


@pytest.mark.slow
def test_an_offset_passes_over_as_many_whatever_was_removed_and_changed(
    index: Index, archive_settings: Settings
) -> None:
    chance = random.Random(1)
    with index.writing() as connection:
        for number in chance.sample(range(STUDIES), STUDIES // 3):
            connection.execute('DELETE FROM study WHERE "StudyInstanceUID" = ?', f"1.2.{number}")
        connection.execute('UPDATE study SET "StudyDate" = ? WHERE id % 5 = 0', "20300101")
        for number in range(STUDIES, STUDIES + 20):
            put(connection, number)
    with Archive.open(archive_settings) as archive:
        for level in UIDS:
            everything = found(archive, Query(level))
            assert len(everything) == STUDIES - STUDIES // 3 + 20
            for offset in (0, 1, 15, 16, 17, 100, len(everything) - 1, len(everything), 1000):
                assert found(archive, Query(level, offset=offset)) == everything[offset:]
                assert found(archive, Query(level, offset=offset, limit=3)) == everything[offset : offset + 3]


DAYS = ("20050101-20101231", "-20101231", "20050101-", "20050101", "19000101-19991231", "20050102-20060101")


@pytest.mark.slow
def test_an_offset_within_days_passes_over_as_many(
    index: Index, archive_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FEW", 5)  # so that they are read in the order of the answer
    with Archive.open(archive_settings) as archive:
        pages = archive.search(Query("studies"))
        dated = [
            one.attributes for page in pages for one in page.matches if text(one.attributes, "StudyDate")
        ]
        for days in DAYS:
            first, _, last = days.partition("-") if "-" in days else (days, "", days)
            within = [one for one in dated if first <= text(one, "StudyDate") <= (last or "9")]
            everything = [text(one, "StudyInstanceUID") for one in within]
            for offset in (1, 13, 50, len(everything), 1000):
                asked = Query("studies", {"StudyDate": days}, offset=offset)
                assert found(archive, asked) == everything[offset:]
                assert found(archive, replace(asked, limit=3)) == everything[offset : offset + 3]


@pytest.mark.slow
def test_what_is_stored_and_removed_is_counted(archive: Archive) -> None:
    for slices in (3, 4):
        made = ct_series(slices)
        with archive.writer() as writer:
            for one in made:
                writer.add(part(one.data))
    archive.remove(Resource(made[0].study, made[0].series, made[0].instance))
    for level, count in (("studies", 2), ("series", 2), ("instances", 6)):
        everything = found(archive, Query(level))
        assert len(everything) == count
        for offset in range(count + 1):
            assert found(archive, Query(level, offset=offset)) == everything[offset:]


@pytest.mark.slow
def test_a_transaction_that_is_rolled_back_counts_nothing(index: Index, archive_settings: Settings) -> None:
    with pytest.raises(KeyboardInterrupt), index.writing() as connection:
        put(connection, STUDIES)
        raise KeyboardInterrupt
    with Archive.open(archive_settings) as archive:
        for level in UIDS:
            assert not found(archive, Query(level, offset=STUDIES))


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", [*map(Query, UIDS), Query("studies", {"StudyDate": "19000101-20991231"})], ids=str
)
def test_few_rows_are_passed_over_one_by_one(
    index: Index, archive_settings: Settings, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FEW", 5)
    passed: list[int] = []
    executed = Connection._executed

    def looking(self, statement, values):
        if "OFFSET" in statement:
            passed.append(values[-1])
        return executed(self, statement, values)

    monkeypatch.setattr(Connection, "_executed", looking)
    with Archive.open(archive_settings) as archive:
        for offset in range(1, STUDIES // 7 * 6, 11):
            assert found(archive, replace(query, offset=offset, limit=1))
    assert passed
    # Of a part of ids, or of the studies without a date.
    assert max(passed) < (16 if query.level != "studies" else STUDIES // 7 + 1)
