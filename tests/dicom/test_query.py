"""Query: parameters both ways, and the matching rules of PS3.4."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.criteria import broad_pattern, like, normal, typed_words
from dicomdock.dicom.dictionary import keyword_of, tag_and_vr
from dicomdock.dicom.json_model import text, texts, value
from dicomdock.dicom.query import Query
from dicomdock.errors import InvalidInput


def element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def name(alphabetic: str = "", ideographic: str = "", phonetic: str = "") -> dict[str, object]:
    groups = {"Alphabetic": alphabetic, "Ideographic": ideographic, "Phonetic": phonetic}
    return element("PN", {key: group for key, group in groups.items() if group})


def matches(key: str, asked: str, found: object, *, fuzzy: bool = False) -> bool:
    return Query(match={key: asked}, fuzzy=fuzzy).matches({tag_and_vr(key)[0]: found})


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        ("Doe^Jane", "DOE^JANE", True),
        ("doe^jane", "Doe^Jane^^^", True),
        ("Doe", "Doe^Jane", False),
        ("Doe*", "Doe^Jane", True),
        ("*jane", "Doe^Jane", True),
        ("D?e^*", "Dœe^Jane", False),
        ("D?e^*", "Döe^Jane", True),
        ("Muller*", "Müller^Ada", True),
        ("MÜLLER*", "muller^ada", True),
        ("Orsted", "Ørsted", True),
        ("Strasse", "Straße", True),
        ("Doe\\Roe", "Roe", True),
        ("*", "", True),
        ("", "Anyone", True),
        ('""', "", True),
        ('""', "Doe", False),
        ("Do[e]", "Doe", False),
        ("Ｄｏｅ", "Doe", True),
    ],
)
def test_person_names(asked: str, found: str, expected: bool) -> None:
    assert matches("PatientName", asked, name(found)) is expected


def test_every_component_group_is_searched() -> None:
    whole = name("Yamada^Tarou", "山田^太郎", "やまだ^たろう")
    for asked in (
        "yamada*",
        "山田^*",
        "やまだ^たろう",
        "Yamada*=山田*",
        "=山田^太郎",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ):
        assert matches("PatientName", asked, whole), asked
    for asked in ("Yamada=山田*", "=Yamada*", "太郎"):
        assert not matches("PatientName", asked, whole), asked
    assert matches("PatientName", "doe*", element("PN", "Doe^Jane"))  # some servers write plain text


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("jane doe", True),
        ("Jan", True),
        ("Jnae", False),
        ("Jame", True),
        ("dow", False),
        ("smith", False),
        ("D?e*", True),
    ],
)
def test_fuzzy_names(asked: str, expected: bool) -> None:
    assert matches("PatientName", asked, name("Doe^Jane"), fuzzy=True) is expected


@pytest.mark.parametrize(
    ("key", "asked", "found", "expected"),
    [
        ("StudyDescription", "Head", "head", False),
        ("StudyDescription", "H*d", "Head", True),
        ("StudyDescription", "a.c", "abc", False),
        ("StudyDescription", "*\n*", "a\nb", True),
        ("PatientID", " 12 ", "12", True),
        ("StudyInstanceUID", "1.2,1.3", "1.3", True),
        ("StudyInstanceUID", "1.2\\1.3", "1.3", True),
        ("StudyInstanceUID", "1.*", "1.3", False),
        ("StudyDate", "20200101-20200131", "20200131", True),
        ("StudyDate", "-20200131", "19000101", True),
        ("StudyDate", "20200101-", "20191231", False),
        ("StudyDate", "20200101", "2020.01.01", True),
        ("StudyTime", "10", "105959.999999", True),
        ("StudyTime", "10-1015", "1015", True),
        ("StudyTime", "1015-", "10", False),
        ("StudyTime", "100000-11", "10", True),
        ("StudyTime", "10-", "10:15:00", True),
        ("StudyTime", "-0959", "10", False),
        ("AcquisitionDateTime", "20200101-20200102", "20200102235959.5", True),
        ("AcquisitionDateTime", "202002-", "20200131", False),
        ("AcquisitionDateTime", "20200101120000+0000", "20200101130000+0100", True),
        ("AcquisitionDateTime", "20200101", "nonsense", False),
        ("SeriesNumber", "07", 7, True),
        ("SeriesNumber", "7.0", 7, False),
        ("SeriesNumber", "7", "7", True),
        ("SliceThickness", "2.50", 2.5, True),
        ("Rows", "512", 512, True),
    ],
)
def test_other_values(key: str, asked: str, found: object, expected: bool) -> None:
    assert matches(key, asked, element(tag_and_vr(key)[1], found)) is expected


def test_any_of_several_values_will_do() -> None:
    assert matches("ModalitiesInStudy", "MR", element("CS", "CT", "MR"))
    assert not matches("ModalitiesInStudy", "SR", element("CS", "CT", "MR"))
    assert not matches("ModalitiesInStudy", "MR", element("CS"))
    assert not Query(match={"PatientName": "Doe"}).matches({})
    assert Query(match={"PatientName": "", "PatientID": "*"}).matches({})


def test_a_range_of_dates_and_one_of_times_are_one_span() -> None:
    query = Query(match={"StudyDate": "20200101-20200103", "StudyTime": "10-12"})

    def at(date: str, time: str) -> bool:
        return query.matches({"00080020": element("DA", date), "00080030": element("TM", time)})

    assert at("20200102", "0300")
    assert at("20200101", "1000")
    assert not at("20200101", "0959")
    assert at("20200103", "125959")
    assert not at("20200103", "1300")
    single = Query(match={"StudyDate": "20200101-20200103", "StudyTime": "10"})
    assert not single.matches({"00080020": element("DA", "20200102"), "00080030": element("TM", "0300")})


def test_keys_of_a_sequence_hold_in_one_item() -> None:
    items = [
        {"00400009": element("SH", "S1"), "00401001": element("SH", "R1")},
        {"00400009": element("SH", "S2")},
    ]
    found = {"00400275": {"vr": "SQ", "Value": items}}
    step, procedure = (
        f"RequestAttributesSequence.{keyword}"
        for keyword in ("ScheduledProcedureStepID", "RequestedProcedureID")
    )
    assert Query(match={step: "S1", procedure: "R1"}).matches(found)
    assert not Query(match={step: "S2", procedure: "R1"}).matches(found)
    assert Query(match={step: ""}).matches({})
    assert not Query(match={step: "S*"}).matches({})


def test_only_some_keys_can_be_looked_at() -> None:
    query = Query(match={"PatientName": "Doe", "PatientID": "1"})
    found = {"00100010": name("Doe")}
    assert not query.matches(found)
    assert query.matches(found, keys={"PatientName"})


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("StudyDate", "2020-01"),
        ("StudyDate", "yesterday"),
        ("StudyTime", "25"),
        ("SeriesNumber", "one"),
        ("NoSuchAttribute", "1"),
        ("PatientName", "*a" * 30),
        ("AcquisitionDateTime", "x"),
    ],
)
def test_keys_that_cannot_be_are_refused(key: str, asked: str) -> None:
    with pytest.raises(InvalidInput):
        Query(match={key: asked}).matches({})


def test_parameters_both_ways() -> None:
    query = Query(
        "series", {"PatientName": "Do*", "SeriesInstanceUID": "1.2,1.3"}, ("KVP", "all"), 10, 5, True
    )
    params = query.to_params()
    assert params == [
        ("PatientName", "Do*"),
        ("SeriesInstanceUID", "1.2,1.3"),
        ("includefield", "KVP"),
        ("includefield", "all"),
        ("fuzzymatching", "true"),
        ("limit", "10"),
        ("offset", "5"),
    ]
    assert Query.from_params("series", params) == query
    assert Query(match={"StudyDate": ""}).to_params() == [("includefield", "StudyDate")]


def test_an_order_both_ways() -> None:
    query = Query(order=("-StudyDate", "PatientName"))
    assert query.to_params() == [("orderby", "-StudyDate,PatientName")]
    assert Query.from_params("studies", query.to_params()) == query
    assert (
        Query.from_params("studies", [("orderby", "-00080020,+PatientName"), ("orderby", "PatientName")])
        == query
    )


def test_parameters_by_tag_repeated_and_from_the_path() -> None:
    query = Query.from_params(
        "instances",
        [
            ("00100010", "Doe"),
            ("00400275.00400009", "S1"),
            ("ModalitiesInStudy", "CT"),
            ("ModalitiesInStudy", "MR"),
            ("SOPInstanceUID", "1.4"),
            ("0020000e", "9.9"),
            ("SOPInstanceUID", "1.5"),
            ("includefield", "00080060,PatientID"),
            ("includefield", "PatientID"),
            ("accept", "application/dicom+json"),
            ("_", "17"),
        ],
        study="1.2",
        series="1.3",
    )
    assert query.match == {
        "PatientName": "Doe",
        "RequestAttributesSequence.ScheduledProcedureStepID": "S1",
        "ModalitiesInStudy": "CT\\MR",
        "SOPInstanceUID": "1.4,1.5",
        "SeriesInstanceUID": "1.3",
        "StudyInstanceUID": "1.2",
    }
    assert query.fields == ("Modality", "PatientID")


@pytest.mark.parametrize(
    "pair",
    [("limit", "-1"), ("limit", "many"), ("offset", "1.5"), ("fuzzymatching", "maybe"), ("PatientNam", "x")],
)
def test_bad_parameters_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput):
        Query.from_params("studies", [pair])


@pytest.mark.slow
@given(
    st.dictionaries(st.sampled_from(["PatientName", "StudyDescription", "PatientID"]), st.text(min_size=1))
)
def test_any_text_survives_the_way_there_and_back(match: dict[str, str]) -> None:
    query = Query(match=match)
    assert Query.from_params("studies", query.to_params()) == query


def test_accessors_and_dictionary() -> None:
    data = {"00100010": name("", "山田"), "00080061": element("CS", "CT", "MR"), "00200011": element("IS", 3)}
    assert text(data, "PatientName") == "山田"
    assert texts(data, "PatientName") == ["=山田"]
    assert texts(data, "ModalitiesInStudy") == ["CT", "MR"]
    assert value(data, "SeriesNumber") == 3
    assert value(data, "PatientID") is None
    assert text(data, "PatientID") == ""
    assert tag_and_vr("KVP") == ("00180060", "DS")
    assert tag_and_vr("00091001") == ("00091001", "UN")
    assert keyword_of("00180060") == "KVP"
    assert keyword_of("00091001") == "00091001"


# ---- names as people type them

_LETTERS = st.text("aäábcçdđeéfgğhiïjklłmnñoöøpqrřsšßtuüvwxyýzž", min_size=2, max_size=8)


def _plain(word: str) -> str:
    marked = "äáçđéğïłñöøřšüýž"
    return word.translate(str.maketrans(marked, "aacdegilnoorsuyz")).replace("ß", "ss")


@pytest.mark.slow
@given(_LETTERS, _LETTERS, st.data())
def test_every_spelling_of_a_name_finds_it(family: str, given_name: str, data: st.DataObject) -> None:
    stored = data.draw(st.sampled_from([str, str.upper, str.title, _plain]))(f"{family}^{given_name}")
    spelling = data.draw(st.sampled_from([str, str.upper, str.title, _plain]))
    form = data.draw(
        st.sampled_from(["{0}, {1}", "{1} {0}", "{0}^{1}", "{0}", "{1}", "{0},{1}", " {0}  {1} "])
    )
    typed = form.format(spelling(family), spelling(given_name))
    attributes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": stored}]}}
    query = Query(match={"PatientName": typed}, typed=True)
    assert query.matches(attributes)
    for word in typed_words(typed):
        pattern, name = broad_pattern(word), unicodedata.normalize("NFC", stored)
        assert like(pattern, name.lower()) or like(pattern.upper(), name.upper())
    strange = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "0^1"}]}}
    assert not query.matches(strange)


# ---- what a person writes


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("2024-01-31", "20240131"),
        ("2024-01-01-2024-12-31", "20240101-20241231"),
        ("2024-01-01-", "20240101-"),
        ("-2024-01-31", "-20240131"),
        ("20240101-2024-12-31", "20240101-20241231"),
        ("2024.01.31", "2024.01.31"),
        ("20240101-20241231", "20240101-20241231"),
    ],
)
def test_dates_are_accepted_as_lists_print_them(typed: str, sent: str) -> None:
    query = Query(match={"StudyDate": typed, "PatientID": typed})
    assert query.match == {"StudyDate": sent, "PatientID": typed}
    assert query.matches({"00080020": element("DA", "20240131"), "00100020": element("LO", typed)})


def test_what_is_not_a_date_keeps_its_letters() -> None:
    """A range in the place of a date would become sixteen digits that nobody wrote."""
    assert normal("DA", "2024.01.31") == normal("DA", "2024-01-31") == "20240131"
    assert normal("DA", "20240101-20240202") == "20240101-20240202"


@pytest.mark.slow
@given(st.dates(date(1000, 1, 1)), st.dates(date(1000, 1, 1)))
def test_a_range_of_printed_dates_is_the_range_of_dicom_dates(low: date, high: date) -> None:
    query = Query(match={"PatientBirthDate": f"{low.isoformat()}-{high.isoformat()}"})
    assert query.match["PatientBirthDate"] == f"{low:%Y%m%d}-{high:%Y%m%d}"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("PatientNme", "PatientName"),
        ("patientname", "PatientName"),
        ("StudyDescripton", "StudyDescription"),
        ("PatientId", "PatientID"),
        ("EchoTimes", "EchoTime"),
    ],
)
def test_a_misspelt_keyword_is_answered_with_the_one_that_is_meant(typed: str, meant: str) -> None:
    with pytest.raises(InvalidInput, match=rf"Did you mean {meant}\?"):
        _ = Query(match={typed: "x"}).criteria
    with pytest.raises(InvalidInput, match=r"attribute\.$"):
        _ = Query(match={"Qqqq": "x"}).criteria
