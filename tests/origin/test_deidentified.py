"""What a server of de-identified copies answers: no canary on any route, and the same copies as an export."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import config, dcmread
from pydicom.uid import UltrasoundImageStorage, generate_uid
from requests import Session

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.deidentify import Report
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.origin.app import TRANSACTIONS
from dicomdock.origin.deidentified import DeidentifiedArchive
from tests.builders import Made, changed, composite, ct_series, document, image_series
from tests.deidentify.canaries import CANARY, infest
from tests.deidentify.conftest import deidentifier
from tests.origin.running import Running, serving

DOCUMENT = 0x00420011
PATIENT, ACCESSION = "4711-Q00000099Z", "Q00000050Z"
ACCEPTS = {
    "": ("*/*", "multipart/related; type=application/dicom; transfer-syntax=*"),
    "/metadata": ("application/dicom+json", 'multipart/related; type="application/dicom+xml"'),
    "/rendered": ("image/png", "multipart/related; type=image/jpeg"),
    "/thumbnail": ("image/jpeg",),
    "/frames/1": ("*/*", 'multipart/related; type="application/octet-stream"'),
    "/bulk/7FE00010": ("application/octet-stream", "multipart/related; type=application/octet-stream"),
}


@pytest.fixture(scope="module")
def originals() -> Iterator[list[Made]]:
    """Two studies of one patient full of canaries, one with what is held back, and one of that alone."""
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    study, series = "1.2.987654321111.1", "1.2.987654321111.2"
    names = {"PatientName": "Q00000098Z^Jane", "PatientID": PATIENT, "AccessionNumber": ACCESSION}
    slices = ct_series(2, StudyInstanceUID=study, SeriesInstanceUID=series, **names)
    infested = []
    for number, one in enumerate(slices):
        one.dataset.SOPInstanceUID = f"1.2.987654321111.3.{number}"
        one.dataset.file_meta.MediaStorageSOPInstanceUID = one.dataset.SOPInstanceUID
        spared = [DOCUMENT, 0x00100010, 0x00100020, 0x00080050]
        infested.append(Made(one.dataset, infest(one.dataset, spare=spared)))
    report = composite("1.2.840.10008.5.1.4.1.1.88.33", Modality="SR", StudyInstanceUID=study, **names)
    report.SeriesInstanceUID, report.SOPInstanceUID = "1.2.987654321111.5", "1.2.987654321111.6"
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    infested.append(Made(report, infest(report, spare=[DOCUMENT, 0x00100010, 0x00100020, 0x00080050])))
    ultrasound = image_series(
        1, sop_class=UltrasoundImageStorage, modality="US", StudyInstanceUID=study, **names
    )
    second = ct_series(1, PatientID=PATIENT, PatientName="Q00000098Z^Jane")
    yield [*infested, *ultrasound, *second, document(**names)]
    config.settings.writing_validation_mode, config.settings.reading_validation_mode = before


@pytest.fixture(scope="module")
def archive(originals: list[Made], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("deidentified")
    settings = Settings(folder / "config", folder / "archive", folder / "state", free_space_floor=0)
    with Archive.open(settings) as archive:
        Running("", archive).add(*(one.data for one in originals))
        yield archive


@pytest.fixture(scope="module")
def server(archive: Archive) -> Iterator[Running]:
    with serving(DeidentifiedArchive(archive, deidentifier()), read_only=True) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[DICOMwebClient]:
    with Session() as session:
        yield DICOMwebClient(server.url, session=session)


def seen(one: Made) -> Resource:
    """Return the UIDs that a client sees."""
    return deidentifier().resource(one.resource)


def paths(resource: Resource) -> list[tuple[str, str]]:
    """Return every address below the server's root that names a resource, with what may be accepted there."""
    uids = {"study": resource.study, "series": resource.series, "instance": resource.instance}
    found = []
    for one in TRANSACTIONS:
        if one.method != "GET" or one.path.startswith(("/wado", "/workitems")):  # no resource is named there
            continue
        path = re.sub(r"\{value:path\}", "7FE00010", one.path).replace("{frames}", "1")
        kind = re.sub(r".*?((/metadata|/rendered|/thumbnail|/frames/1|/bulk/7FE00010)?)\Z", r"\2", path)
        if path.endswith(("/studies", "/series", "/instances")):
            kind = "/metadata"
        found += [("/dicom-web" + path.format(**uids), accept) for accept in ACCEPTS[kind]]
    named = f"requestType=WADO&studyUID={resource.study}&seriesUID={resource.series}"
    uri = f"/wado?{named}&objectUID={resource.instance}"
    found += [(f"{uri}&contentType={one}", "*/*") for one in ("application/dicom", "image/png")]
    return [*found, (f"/wado?requestType=WADO&objectUID={resource.instance}", "*/*")]


def curl(server: Running, path: str, accept: str = "*/*") -> bytes:
    """Return the head and body of an answer, as another program receives them."""
    command = ["curl", "-sS", "-i", "-g", "-H", f"Accept: {accept}", server.root + path]
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.slow
def test_no_canary_leaves_on_any_route(server: Running, originals: list[Made]) -> None:
    asked = paths(seen(originals[0])) + paths(seen(originals[2]))
    asked += [
        (f"/dicom-web/{level}?includefield=all", "application/dicom+json")
        for level in ("studies", "series", "instances")
    ]
    answered = set()
    for path, accept in asked:
        answer = curl(server, path, accept)
        assert CANARY.findall(answer) == [], path
        assert b"Jane" not in answer, path
        if status(answer) == 200:
            answered.add(path)
    assert {path for path, _ in paths(seen(originals[0]))} <= answered


@pytest.mark.slow
def test_original_identifiers_lead_nowhere(server: Running, originals: list[Made]) -> None:
    """The answer to a UID of the archive, or of what is held back, is the one to a UID of nobody."""
    nobody = Resource(generate_uid(), generate_uid(), generate_uid())
    for resource in (originals[0].resource, originals[3].resource, seen(originals[5])):
        for (path, accept), (other, _) in zip(paths(resource), paths(nobody), strict=True):
            if path == other:
                continue
            answer, expected = server.ask(path, accept), server.ask(other, accept)
            assert answer.status == expected.status, path
            assert without_uids(answer.data, resource) == without_uids(expected.data, nobody)
    held = seen(originals[3])
    assert server.ask(f"/dicom-web{held.path}").status == 404
    assert server.ask(f"/dicom-web/studies/{held.study}/series/{held.series}/metadata").status == 404


def without_uids(body: bytes, resource: Resource) -> bytes:
    for uid in (resource.study, resource.series, resource.instance):
        assert uid is not None
        body = body.replace(uid.encode(), b"UID")
    return body


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
@pytest.mark.parametrize(
    "key",
    [
        f"PatientID={PATIENT}",
        "PatientID=4711*",
        "PatientName=Q0*",
        "PatientName=doe&fuzzymatching=true",
        f"AccessionNumber={ACCESSION}",
        "StudyInstanceUID=1.2.987654321111.1",
        "SeriesInstanceUID=1.2.987654321111.2",
        "SOPInstanceUID=1.2.987654321111.3.0",
        "StudyDate=20240102",
        "PatientBirthDate=19700101",
        "InstitutionName=Q*",
        "Modality=US",
        "Modality=DOC",
    ],
)
def test_no_search_by_what_was_removed_finds_anything(server: Running, level: str, key: str) -> None:
    answer = server.ask(f"/dicom-web/{level}?{key}")
    assert (answer.status, answer.data.strip()) in ((204, b""), (200, b"[]"))


@pytest.mark.slow
def test_another_program_works_with_the_pseudonyms(
    client: DICOMwebClient, originals: list[Made], archive: Archive, tmp_path: Path
) -> None:
    """Searches, metadata, frames and bulk data agree with the copies, which are those of an export."""
    report = Report(deidentifier().profile)
    shown = [originals[0].study, originals[4].study]
    exported = archive.export_deidentified(
        [Resource(uid) for uid in shown], tmp_path / "out", deidentifier(), report
    )
    files = [dcmread(tmp_path / "out" / one.path) for one in exported]
    patient = deidentifier().pseudonyms.name("patient", PATIENT)
    found = client.search_for_studies(search_filters={"PatientID": patient})
    studies = {str(one["0020000D"]["Value"][0]): one for one in found}
    assert set(studies) == {str(one.StudyInstanceUID) for one in files}
    first = studies[seen(originals[0]).study]
    assert first["00201208"]["Value"] == [3]
    assert sorted(first["00080061"]["Value"]) == ["CT", "SR"]
    series = client.search_for_series(seen(originals[0]).study, search_filters={"Modality": "CT"})
    assert [one["00201209"]["Value"] for one in series] == [[2]]
    assert len(client.search_for_instances(limit=2)) == 2
    assert len(client.search_for_instances(limit=2, get_remaining=True)) == 4
    assert client.search_for_instances(offset=4) == []
    for file in files:
        named = (str(file.StudyInstanceUID), str(file.SeriesInstanceUID), str(file.SOPInstanceUID))
        (received,) = [one for one in client.retrieve_study(named[0]) if one.SOPInstanceUID == named[2]]
        assert received == file
        described = client.retrieve_instance_metadata(*named)
        assert described["00100020"]["Value"] == [patient]
        assert set(described) == {f"{element.tag:08X}" for element in file} | {"00080005"}
        if "PixelData" in file:
            assert client.retrieve_bulkdata(described["7FE00010"]["BulkDataURI"]) == [file.PixelData]
            assert client.retrieve_instance_frames(*named, [1]) == [file.PixelData]


def test_nothing_is_stored_or_deleted(server: Running, originals: list[Made], archive: Archive) -> None:
    before = archive.summary()
    assert server.ask(f"/dicom-web/studies/{seen(originals[0]).study}", method="DELETE").status == 403
    assert server.ask("/dicom-web/studies", method="POST", body=b"").status == 403
    assert archive.summary() == before


@pytest.mark.slow
def test_what_is_held_back_is_listed_for_who_serves(
    archive: Archive, originals: list[Made], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pages = list(DeidentifiedArchive(archive, deidentifier()).search(Query("studies")))
    assert sum(len(page.matches) for page in pages) == 2
    held = {originals[3].resource: "ultrasound", originals[5].resource: "document"}
    assert len(caplog.messages) == len(held)
    for resource, reason in held.items():
        (message,) = (one for one in caplog.messages if str(resource) in one)
        assert reason in message


@pytest.mark.slow
def test_what_comes_is_seen_and_what_goes_is_not(archive: Archive) -> None:
    source = DeidentifiedArchive(archive, deidentifier())
    (one,) = ct_series(1, PatientID="new")
    copy = seen(one)
    Running("", archive).add(one.data)
    (part,) = source.retrieve(copy)
    assert dcmread(BytesIO(b"".join(part.chunks()))).SOPInstanceUID == copy.instance
    other = changed(one, StudyDescription="Heart", SOPInstanceUID=generate_uid())
    Running("", archive).add(other.data)
    assert len([*source.metadata(Resource(copy.study))]) == 2
    archive.remove(Resource(one.study))
    assert copy.study not in str([*source.search(Query("studies"))])


@pytest.mark.slow
def test_no_order_gives_the_originals_away(archive: Archive, originals: list[Made]) -> None:
    source = DeidentifiedArchive(archive, deidentifier())
    plain, *orders = (
        [match.attributes for page in source.search(Query("studies", order=order)) for match in page.matches]
        for order in ((), ("PatientName",), ("-PatientName",), ("PatientBirthDate",))
    )
    assert plain and all(found == plain for found in orders)
    assert next(source.search(Query("studies", order=("PatientName",)))).warnings
