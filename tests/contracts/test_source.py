"""What every DicomSource does alike."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import pytest
from pydicom.uid import generate_uid

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NotFound, UnsupportedByServer
from dicomdock.sources import DicomSource, Part, StoreResult
from tests.builders import Made, ct_series, mr_series
from tests.contracts.conftest import Case


def part_of(data: bytes, resource: Resource | None = None) -> Part:
    """Make a part that can be opened once, as one from the wire."""
    opened: Iterator[bytes] = iter([data[:1000], data[1000:]])
    return Part("application/dicom", lambda: opened, length=len(data), resource=resource)


def store(source: DicomSource, instances: Iterable[Made]) -> list[StoreResult]:
    return list(source.store([part_of(one.data) for one in instances]))


def found(source: DicomSource, query: Query, keyword: str) -> list[str]:
    return [text(match.attributes, keyword) for page in source.search(query) for match in page.matches]


def bodies(source: DicomSource, resource: Resource) -> list[bytes]:
    return [b"".join(part.chunks()) for part in source.retrieve(resource)]


def same(case: Case, resource: Resource, made: Iterable[Made]) -> bool:
    """Return whether the source gives exactly these instances, byte for byte."""
    found, wanted = bodies(case.source, resource), [one.data for one in made]
    if case.rewrites:
        found, wanted = [_data_set(data) for data in found], [_data_set(data) for data in wanted]
    return sorted(found) == sorted(wanted)


def _data_set(data: bytes) -> bytes:
    """Return the bytes behind the file meta information."""
    (length,) = struct.unpack("<L", data[140:144])
    return data[144 + length :]


@pytest.fixture
def two_studies(case: Case) -> list[list[Made]]:
    """Two studies of different patients, the first with two series."""
    first = ct_series(3, PatientName="Smith^John", PatientID="S1", StudyDate="20200103")
    second_series = mr_series(
        2, PatientName="Smith^John", PatientID="S1", StudyDate="20200103", StudyInstanceUID=first[0].study
    )
    other = ct_series(2, PatientName="Jones^Mary", PatientID="J2", StudyDate="20240607")
    results = store(case.source, [*first, *second_series, *other])
    assert [result.status for result in results] == ["stored"] * 7
    return [first, second_series, other]


def test_an_empty_source_answers_a_search_with_one_empty_page(case: Case):
    (page,) = case.source.search(Query())
    assert page.matches == ()
    assert not page.more


@pytest.mark.slow
def test_what_was_stored_is_found_at_every_level(case: Case, two_studies: list[list[Made]]):
    first, second, other = two_studies
    study = first[0].study
    assert sorted(found(case.source, Query(), "StudyInstanceUID")) == sorted([study, other[0].study])
    series = Query("series", {"StudyInstanceUID": study})
    assert sorted(found(case.source, series, "SeriesInstanceUID")) == sorted(
        [first[0].series, second[0].series]
    )
    instances = Query("instances", {"StudyInstanceUID": study, "SeriesInstanceUID": first[0].series})
    assert sorted(found(case.source, instances, "SOPInstanceUID")) == sorted(one.instance for one in first)


@pytest.mark.slow
def test_series_and_instances_are_found_without_naming_the_study(case: Case, two_studies: list[list[Made]]):
    every = [one for series in two_studies for one in series]
    assert len(found(case.source, Query("series"), "SeriesInstanceUID")) == 3
    assert sorted(found(case.source, Query("instances"), "SOPInstanceUID")) == sorted(
        one.instance for one in every
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"PatientName": "Smith*"}, "S1"),
        ({"PatientName": "*mary*"}, "J2"),
        ({"PatientID": "S1"}, "S1"),
        ({"StudyDate": "20200101-20201231"}, "S1"),
        ({"StudyDate": "20210101-"}, "J2"),
        ({"ModalitiesInStudy": "MR"}, "S1"),
        ({"PatientID": "S1", "StudyDate": "20240607"}, None),
        ({"PatientID": "nobody"}, None),
    ],
)
def test_matching(case: Case, two_studies: list[list[Made]], match: dict[str, str], expected: str | None):
    assert found(case.source, Query("studies", match), "PatientID") == (
        [] if expected is None else [expected]
    )


@pytest.mark.slow
def test_a_list_of_uids_finds_each(case: Case, two_studies: list[list[Made]]):
    wanted = sorted({series[0].study for series in two_studies})
    query = Query("studies", {"StudyInstanceUID": ",".join([*wanted, generate_uid()])})
    assert sorted(found(case.source, query, "StudyInstanceUID")) == wanted


@pytest.mark.slow
def test_limit_and_offset_walk_over_every_match_once(case: Case, two_studies: list[list[Made]]):
    study, series = two_studies[0][0].study, two_studies[0][0].series
    match = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    walked: list[str] = []
    for offset in range(3):
        one = found(case.source, Query("instances", match, limit=1, offset=offset), "SOPInstanceUID")
        assert len(one) == 1
        walked += one
    assert sorted(walked) == sorted(made.instance for made in two_studies[0])
    assert found(case.source, Query("instances", match, offset=3), "SOPInstanceUID") == []


@pytest.mark.slow
def test_fields_asked_for_are_answered(case: Case, two_studies: list[list[Made]]):
    query = Query("studies", {"PatientID": "S1"}, fields=("StudyDescription",))
    assert found(case.source, query, "StudyDescription") == ["Head"]


@pytest.mark.slow
def test_instances_come_back_byte_for_byte(case: Case, two_studies: list[list[Made]]):
    first, second, _ = two_studies
    study = first[0].resource
    assert same(case, first[1].resource, [first[1]])
    assert same(case, Resource(study.study, study.series), first)
    assert same(case, Resource(study.study), [*first, *second])


@pytest.mark.slow
def test_what_is_not_there_is_not_found(case: Case, two_studies: list[list[Made]]):
    first = two_studies[0][0]
    for resource in (
        Resource(generate_uid()),
        Resource(first.study, generate_uid()),
        Resource(first.study, first.series, generate_uid()),
    ):
        with pytest.raises(NotFound):
            bodies(case.source, resource)


@pytest.mark.slow
def test_a_retrieval_left_early_does_no_harm(case: Case, two_studies: list[list[Made]]):
    first = two_studies[0]
    series = Resource(first[0].study, first[0].series)
    parts = case.source.retrieve(series)
    next(parts)
    parts.close()  # type: ignore[attr-defined]
    assert len(bodies(case.source, series)) == 3


@pytest.mark.slow
def test_metadata_describes_without_pixels(case: Case, two_studies: list[list[Made]]):
    first = two_studies[0]
    series = Resource(first[0].study, first[0].series)
    if not case.metadata:
        with pytest.raises((UnsupportedByServer, NotFound)):
            list(case.source.metadata(series))
        return
    items = list(case.source.metadata(series))
    assert sorted(text(item, "SOPInstanceUID") for item in items) == sorted(one.instance for one in first)
    assert all(text(item, "PatientName") == "Smith^John" for item in items)
    assert all("InlineBinary" not in item.get("7FE00010", {}) for item in items)


@pytest.mark.slow
def test_storing_the_same_again_changes_nothing(case: Case, two_studies: list[list[Made]]):
    first = two_studies[0]
    again = store(case.source, first)
    assert {result.status for result in again} <= {"stored", "duplicate", "failed"}
    assert sorted(result.sop_instance_uid for result in again) == sorted(one.instance for one in first)
    series = Resource(first[0].study, first[0].series)
    assert same(case, series, first)


def test_a_broken_instance_fails_alone(case: Case):
    good = ct_series(2)
    parts = [part_of(good[0].data), part_of(b"this is not DICOM at all"), part_of(good[1].data)]
    results = list(case.source.store(parts))
    assert [result.status for result in results if result.sop_instance_uid] == ["stored", "stored"]
    failed = [result for result in results if not result.sop_instance_uid]
    assert [result.status for result in failed] == ["failed"]
    assert failed[0].reason
    assert same(case, Resource(good[0].study), good)


@pytest.mark.slow
def test_delete_takes_what_it_names_and_no_more(case: Case, two_studies: list[list[Made]]):
    first, second, other = two_studies
    target = Resource(first[0].study, first[0].series)
    if not case.deletes:
        with pytest.raises(UnsupportedByServer):
            case.source.delete(target)
        assert len(bodies(case.source, Resource(first[0].study))) == 5
        return
    case.source.delete(first[0].resource)
    assert len(bodies(case.source, target)) == 2
    case.source.delete(target)
    assert same(case, Resource(first[0].study), second)
    case.source.delete(Resource(first[0].study))
    assert found(case.source, Query(), "StudyInstanceUID") == [other[0].study]
    with pytest.raises(NotFound):
        case.source.delete(target)


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    [
        "Müller, Hans",
        "hans muller",
        "Müller^Hans",
        "MULLER hans",
        "müller",
        "muller",
        "Hans  Mu\u0308ller",
    ],
)
def test_a_name_is_found_as_people_type_it(case: Case, typed: str) -> None:
    names = {"Müller^Hans": True, "MULLER^HANS": True, "Muller^Hans^Peter": True, "Mulder^Hanna": False}
    wanted = set()
    for number, (name, matches) in enumerate(names.items()):
        made = ct_series(1, PatientName=name, PatientID=f"N{number}", SpecificCharacterSet="ISO_IR 192")
        store(case.source, made)
        wanted |= {made[0].study} if matches else set()
    query = Query("studies", {"PatientName": typed}, typed=True)
    got = found(case.source, query, "StudyInstanceUID")
    assert len(got) == len(set(got)) and set(got) == wanted
    one = Query("studies", {"PatientName": typed}, typed=True, limit=1)
    first = found(case.source, one, "StudyInstanceUID")
    assert len(first) == 1 and set(first) < wanted


def test_a_name_in_quotation_marks_is_the_whole_name(case: Case) -> None:
    store(case.source, ct_series(1, PatientName="Doe^Jane", PatientID="D1"))
    store(case.source, ct_series(1, PatientName="Doe^Janet", PatientID="D2"))
    query = Query("studies", {"PatientName": '"Doe^Jane"'}, typed=True)
    assert found(case.source, query, "PatientID") == ["D1"]
