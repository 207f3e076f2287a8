"""No search of a supported key reads a table from one end to the other, and each finds what it should."""

from __future__ import annotations

import random
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.index import access
from dicomdock.archive.index.attributes import INSTANCE_KEYWORDS, NUMBERS, SERIES_KEYWORDS, STUDY_KEYWORDS
from dicomdock.archive.index.connection import Connection
from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.mapping import folded
from dicomdock.archive.index.schema import instance, series, study
from dicomdock.config.settings import Settings
from dicomdock.dicom.dictionary import vr_of
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query

STUDIES = 900
SYLLABLES = ("an", "ka", "mül", "ler", "son", "ta", "o'", "ri", "de", "vié")
LEVELS = {"studies": STUDY_KEYWORDS, "series": SERIES_KEYWORDS, "instances": INSTANCE_KEYWORDS}


def names() -> list[str]:
    chance = random.Random(5)
    return [
        "^".join("".join(chance.choices(SYLLABLES, k=3)).title() for _ in range(2)) for _ in range(STUDIES)
    ]


NAMES = names()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Rows of an index alone, as searching needs no files."""
    folder = tmp_path_factory.mktemp("archive")
    settings = Settings(folder, folder, folder, free_space_floor=0)
    Archive.open(settings).close()
    index = Index("", folder)
    with index.writing() as connection:
        for number, name in enumerate(NAMES):
            row = {"StudyInstanceUID": f"1.2.{number}", "PatientName": name, **folded("PatientName", name)}
            row |= {"PatientID": f"P{number:05}", "AccessionNumber": f"A{number * 7:06}", "added": 0.0}
            row |= {"StudyDate": f"{2000 + number % 20}0101", "StudyDescription": f"Thorax {number % 11}"}
            row |= {"PatientSex": "FMO"[number % 3], "ModalitiesInStudy": "\\CT\\MR\\"}
            connection.insert(study, [study.values(row)])
            of_study = {"study": number + 1, "SeriesInstanceUID": f"1.3.{number}", "Modality": "CT"}
            of_study |= {"added": 0.0, "used": 0.0, "SeriesDescription": f"axial {number % 30}"}
            connection.insert(series, [series.values(of_study)])
            of_series = {"series": number + 1, "SOPInstanceUID": f"1.4.{number}", "size": 1, "digest": ""}
            of_series |= {"origin": "", "made_here": False, "added": 0.0, "SOPClassUID": "1.2.840.1"}
            of_series |= {"ImageType": "\\ORIGINAL\\PRIMARY\\"}
            connection.insert(instance, [instance.values(of_series)])
    index.close()
    with Archive.open(settings) as opened:
        yield opened


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch, archive: Archive) -> list[str]:
    """Collect how the database reads a table from end to end."""
    found: list[str] = []
    executed = Connection._executed

    def explained(self, statement, values):
        driver = self._driver
        assert isinstance(driver, sqlite3.Connection)
        if statement.lstrip().startswith(("SELECT", "WITH")):
            for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", values):
                if re.match(r"SCAN (study|series|instance)\b", row[3]):
                    found.append(f"{row[3]}: {statement}")
        return executed(self, statement, values)

    monkeypatch.setattr(Connection, "_executed", explained)
    # So that what is few and what is many can be told apart among so few rows.
    monkeypatch.setattr(access, "FEW", 50)
    return found


def keys() -> Iterator[tuple[str, str, str]]:
    """Yield each level and key with values that nothing matches."""
    for level, keywords in LEVELS.items():
        for keyword in keywords:
            if keyword.endswith("InstanceUID"):
                continue
            vr = vr_of(keyword)
            if vr in ("DA", "TM"):
                yield level, keyword, "18991231" if vr == "DA" else "235959.99"
                yield level, keyword, "-18991231" if vr == "DA" else "235959.98-235959.99"
            elif keyword in NUMBERS:
                yield level, keyword, "987654"
            elif vr == "UI":
                yield level, keyword, "1.9.9"
            else:
                for value in ("Xyzzyq", "Xyzzyq*", "*xyzzyq*"):
                    yield level, keyword, value.upper() if vr == "CS" else value


@pytest.mark.slow
def test_what_nothing_matches_is_found_out_without_reading_a_table(
    archive: Archive, scans: list[str]
) -> None:
    for level, keyword, value in keys():
        for fuzzy in (False, True) if vr_of(keyword) == "PN" else (False,):
            pages = list(archive.search(Query(level, {keyword: value}, fuzzy=fuzzy)))
            assert not any(page.matches for page in pages)
            assert not scans, (level, keyword, value, fuzzy)


@pytest.mark.parametrize("level", ["series", "instances"])
@pytest.mark.parametrize("match", [{"PatientName": "Xyzzyq*"}, {"PatientID": "*99999*"}, {"Modality": "XX"}])
def test_what_is_asked_of_a_level_above_is_not_read_row_by_row_either(archive, scans, level, match) -> None:
    assert not any(page.matches for page in archive.search(Query(level, match)))
    assert not scans


@pytest.mark.parametrize("match", [{"Modality": "XX"}, {"SOPClassesInStudy": "1.9.9"}])
def test_what_is_asked_of_a_level_below_neither(archive, scans, match) -> None:
    assert not any(page.matches for page in archive.search(Query("studies", match)))
    assert not scans


def folding(name: str) -> str:
    """Fold a name by other means than the program's."""
    plain = unicodedata.normalize("NFD", name.lower())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def distance_is_at_most_one(one: str, two: str) -> bool:
    rows = [[*range(len(two) + 1)]]
    for at, letter in enumerate(one, 1):
        rows.append([at])
        for other, second in enumerate(two, 1):
            cost = rows[at - 1][other - 1] + (letter != second)
            rows[at].append(min(cost, rows[at - 1][other] + 1, rows[at][other - 1] + 1))
    return rows[-1][-1] <= 1


def near(asked: str, name: str) -> bool:
    there = folding(name).split("^")
    return all(
        any(word.startswith(one) or (len(one) >= 4 and distance_is_at_most_one(one, word)) for word in there)
        for one in folding(asked).split("^")
    )


def misspelt() -> Iterator[str]:
    chance = random.Random(7)
    for name in chance.sample(NAMES, 12):
        at = chance.randrange(len(name))
        yield name[:at] + name[at + 1 :]
        yield name[:at] + "x" + name[at + 1 :]
        yield name[:at] + "x" + name[at:]
        yield name[: at + 1].rstrip("^")
    yield from ("An", "k", "Kason", "Ta^An")


@pytest.mark.slow
def test_fuzzy_names_are_those_with_one_letter_amiss(archive: Archive, scans: list[str]) -> None:
    for asked in misspelt():
        found = {
            text(match.attributes, "StudyInstanceUID")
            for page in archive.search(Query("studies", {"PatientName": asked}, fuzzy=True))
            for match in page.matches
        }
        assert found == {f"1.2.{number}" for number, name in enumerate(NAMES) if near(asked, name)}, asked


@pytest.mark.parametrize(
    ("keyword", "pattern"),
    [("PatientName", f"*{piece}*") for piece in ("anka", "ler^", "^ta", "o'ri", "vieson", "a", "n^k")]
    + [
        ("PatientName", "*an?a*"),
        ("PatientName", "ka*^*son"),
        ("PatientID", "*123*"),
        ("PatientID", "?0042?"),
    ]
    + [
        ("PatientID", "?0042?"),
        ("AccessionNumber", "*0042"),
        ("StudyDescription", "*rax 1*"),
        ("StudyDescription", "*axial*"),
    ],
)
def test_what_stands_inside_a_text_is_found(archive: Archive, scans: list[str], keyword, pattern) -> None:
    values = {
        "PatientName": [folding(name) for name in NAMES],
        "PatientID": [f"P{number:05}" for number in range(STUDIES)],
        "AccessionNumber": [f"A{number * 7:06}" for number in range(STUDIES)],
        "StudyDescription": [f"Thorax {number % 11}" for number in range(STUDIES)],
    }[keyword]
    expression = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") + r"\Z")
    found = {
        text(match.attributes, "StudyInstanceUID")
        for page in archive.search(Query("studies", {keyword: pattern}))
        for match in page.matches
    }
    assert found == {f"1.2.{number}" for number, value in enumerate(values) if expression.match(value)}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["studies", "series", "instances"])
@pytest.mark.parametrize("match", [{}, {"PatientSex": "F"}, {"PatientName": "*a*"}, {"Modality": "CT"}])
def test_pages_from_any_offset_are_parts_of_one_list(archive: Archive, level, match) -> None:
    whole = [one.attributes for page in archive.search(Query(level, match)) for one in page.matches]
    assert len(whole) >= 300
    dates = [text(one, "StudyDate") for one in whole]
    if level == "studies":
        assert all(earlier >= later for earlier, later in pairwise(dates))
    for offset in (0, 1, 99, 100, 101, 250, len(whole) - 1, len(whole), len(whole) + 5):
        asked = Query(level, match, offset=offset, limit=250)
        part = [one.attributes for page in archive.search(asked) for one in page.matches]
        assert part == whole[offset : offset + 250]


def test_texts_that_changed_are_found_as_they_are_now(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, tmp_path, free_space_floor=0)
    with Archive.open(settings) as opened:
        index = Index("", tmp_path)

        def found(pattern: str) -> int:
            pages = opened.search(Query("studies", {"PatientID": pattern}))
            return sum(len(page.matches) for page in pages)

        with index.writing() as connection:
            row = {"StudyInstanceUID": "1.2", "PatientID": "old-number", "added": 0.0}
            connection.insert(study, [study.values(row)])
        assert found("*d-num*") == 1
        with index.writing() as connection:
            connection.execute('UPDATE study SET "PatientID" = ?', "new-figure")
        assert (found("*d-num*"), found("*w-fig*")) == (0, 1)
        with index.writing() as connection:
            connection.execute("DELETE FROM study")
        assert found("*w-fig*") == 0
        index.close()
