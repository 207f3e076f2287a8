"""SQL and the local filter mean the same, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from pydicom.dataset import Dataset

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.errors import InvalidInput
from tests.archive.conftest import DATABASES, part
from tests.builders import composite, made

NAMES = [
    "",
    "Doe^Jane",
    "DOE^JANE^^",
    "doe",
    "Müller^Ada",
    "Mueller^Ada",
    "Doe^John^=山田^太郎=やまだ^たろう",
    "O'Neil [x]^A_b%c!",
    "Łukasz^Ørsted",
    "García López^José",
]
TEXTS = ["", "Head", "head", "CT Head [1]", "a*b", "50%", "under_score", "Schädel", "!", "x" * 30]
DATES = ["", "20200101", "20200131", "20200201", "19991231"]
TIMES = ["", "10", "1015", "101530", "101530.5", "235959.999999", "000000"]
MODALITIES = ["CT", "MR", "SEG", "C"]
TYPES = ["", ["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY", "MPR"], ["ORIG"]]


def instances() -> Iterator[Dataset]:
    for number in range(40):
        dataset = composite("1.2.840.10008.5.1.4.1.1.7")
        dataset.PatientName = NAMES[number % len(NAMES)]
        dataset.PatientID = TEXTS[number * 3 % len(TEXTS)]
        dataset.StudyDescription = TEXTS[number % len(TEXTS)]
        dataset.SeriesDescription = TEXTS[number * 7 % len(TEXTS)]
        dataset.StudyDate = DATES[number % len(DATES)]
        dataset.StudyTime = TIMES[number % len(TIMES)]
        dataset.Modality = MODALITIES[number % len(MODALITIES)]
        dataset.SeriesNumber = number % 5 if number % 6 else None
        dataset.ImageType = TYPES[number % len(TYPES)]
        dataset.OperatorsName = (
            [NAMES[number % len(NAMES)], NAMES[(number + 1) % len(NAMES)]] if number % 2 else None
        )
        if number % 3:
            item = Dataset()
            item.ScheduledProcedureStepID, item.RequestedProcedureID = f"S{number % 4}", f"R{number % 5}"
            dataset.RequestAttributesSequence = [item, Dataset()] if number % 2 else [item]
        yield dataset


@pytest.fixture(params=DATABASES, scope="module")
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    url = ""
    if request.param == "postgresql":
        import psycopg

        server = request.getfixturevalue("postgresql")
        with psycopg.connect(server.format(database="postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS matching")
            connection.execute("CREATE DATABASE matching TEMPLATE template0")
        url = server.format(database="matching")
    with Archive.open(Settings(folder, folder, folder, database=url, free_space_floor=0)) as archive:
        with archive.writer() as writer:
            for dataset in instances():
                writer.add(part(made(dataset).data))
        yield archive


def pieces(values: list[str]) -> st.SearchStrategy[str]:
    """Values, parts of them with wildcards, lists of them, and what hostile users type."""
    whole = st.sampled_from(values)
    letters = st.text(st.sampled_from("*?DdeoheadéÄ ^=[]%_!\\山x"), max_size=6)
    cut = st.tuples(whole, st.integers(0, 9), st.sampled_from("*?")).map(lambda v: v[0][: v[1]] + v[2])
    inside = st.tuples(whole, st.integers(0, 9)).map(lambda v: f"*{v[0][v[1] : v[1] + 3]}*")
    several = st.lists(whole, min_size=2, max_size=3).map("\\".join)
    return st.one_of(whole, letters, cut, inside, several, st.just('""'), st.just(""), whole.map(str.upper))


def ranges(values: list[str]) -> st.SearchStrategy[str]:
    bound = st.sampled_from(values)
    return st.one_of(bound, st.tuples(bound, bound).map("-".join), st.just('""'))


KEYS: dict[str, st.SearchStrategy[str]] = {
    "PatientName": pieces(NAMES),
    "PatientID": pieces(TEXTS),
    "StudyDescription": pieces(TEXTS),
    "SeriesDescription": pieces(TEXTS),
    "OperatorsName": pieces(NAMES),
    "StudyDate": ranges(DATES),
    "StudyTime": ranges(["", "10", "1015", "101530", "101530.5", "11", "2359"]),
    "Modality": pieces(MODALITIES),
    "ModalitiesInStudy": pieces(MODALITIES),
    "SeriesNumber": st.sampled_from(["0", "1", "3", "-1", "1.0", "99", '""', "2\\3"]),
    "ImageType": pieces(["ORIGINAL", "PRIMARY", "MPR", "ORIG"]),
    "RequestAttributesSequence.ScheduledProcedureStepID": pieces(["S0", "S1", "S2"]),
    "RequestAttributesSequence.RequestedProcedureID": pieces(["R0", "R1", "R2"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("fuzzy", [False, True])
def test_sql_and_the_local_filter_agree(filled: Archive, fuzzy: bool) -> None:
    everything = [match.attributes for page in filled.search(Query("instances")) for match in page.matches]
    assert len(everything) == 40

    @hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=3, unique=True))
        query = Query("instances", {key: data.draw(KEYS[key], label=key) for key in chosen}, fuzzy=fuzzy)
        try:
            wanted = [one for one in everything if query.matches(one)]
        except InvalidInput:
            with pytest.raises(InvalidInput):
                list(filled.search(query))
            return
        got = [match.attributes for page in filled.search(query) for match in page.matches]
        uids = [text(one, "SOPInstanceUID") for one in wanted]
        assert [text(one, "SOPInstanceUID") for one in got] == uids
        offset, limit = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 5))
        paged = Query("instances", query.match, limit=limit, offset=offset, fuzzy=fuzzy)
        got = [match.attributes for page in filled.search(paged) for match in page.matches]
        assert [text(one, "SOPInstanceUID") for one in got] == uids[offset : offset + limit]

    agree()


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (key, asked)
        for key in ("PatientID", "StudyDescription", "Modality", "ImageType", "PatientName", "OperatorsName")
        for asked in ("*\\", "\\*", "**\\A", "A\\*", "A\\ * \\B?")
    ]
    + [("PatientName", "*^"), ("PatientName", "=*"), ("PatientName", "*=*"), ("PatientName", "＊")],
)
def test_a_list_with_a_bare_star_matches_everything(filled: Archive, key: str, asked: str) -> None:
    query = Query("instances", {key: asked})
    found = [match.attributes for page in filled.search(query) for match in page.matches]
    assert len(found) == 40
    assert query.matches({})
    assert all(query.matches(attributes) for attributes in found)
