"""A push has an answer for every instance, sends nothing twice, and can prove what it sent."""

from __future__ import annotations

import errno
import gzip
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.errors import AuthenticationError, InvalidInput, StoreError, UnsupportedByServer
from dicomdock.sources import Part, StoreResult
from dicomdock.transfer import parts_of_files, select_files
from dicomdock.transfer.push import push
from tests.builders import Made, changed, ct_series, write
from tests.dicomweb.awkward import Awkward, refused, rows
from tests.dicomweb.clients import client_of, orthanc_client
from tests.servers.canned import Answer, Request
from tests.servers.orthanc import Orthanc
from tests.servers.process import free_port
from tests.transfer.conftest import ended


@pytest.fixture
def series(tmp_path: Path) -> tuple[list[Made], list[Part]]:
    """A series of five and its files as parts."""
    made = ct_series(5)
    return made, parts_of_files([*write(tmp_path / "series", made)])


def accepted(sent: list[Made]) -> Answer:
    """Answer that everything was stored."""
    stored = [
        {
            "00081150": {"vr": "UI", "Value": [str(one.dataset.SOPClassUID)]},
            "00081155": {"vr": "UI", "Value": [one.instance]},
        }
        for one in sent
    ]
    answer = rows([], status=200)
    body = {"00081199": {"vr": "SQ", "Value": stored}}
    return Answer(200, json.dumps(body).encode(), answer.headers)


def test_every_instance_is_stored_and_says_so(
    orthanc: Orthanc, settings: Settings, series: tuple[list[Made], list[Part]]
):
    made, parts = series
    noted: list[tuple[Resource, StoreResult]] = []
    with orthanc_client(orthanc, settings) as client:
        report = ended(
            push(parts, client, settings, ledger=lambda place, result: noted.append((place, result)))
        )
    assert report.complete
    assert report.sent == 5
    assert [result.sop_instance_uid for result in report.results] == [one.instance for one in made]
    assert {result.status for result in report.results} == {"stored"}
    assert {place for place, _ in noted} == {one.resource for one in made}
    assert all(orthanc.stored_bytes(one.instance) == one.data for one in made)


@pytest.mark.parametrize(
    ("on_duplicate", "status", "sent", "complete"),
    [("skip", "duplicate", 3, True), ("send", "stored", 5, True), ("fail", "failed", 3, False)],
)
def test_duplicates_are_seen_beforehand(
    orthanc: Orthanc,
    settings: Settings,
    series: tuple[list[Made], list[Part]],
    on_duplicate: str,
    status: str,
    sent: int,
    complete: bool,
):
    made, parts = series
    orthanc.add(made[0].data, made[3].data)
    with orthanc_client(orthanc, settings) as client:
        report = ended(push(parts, client, settings, on_duplicate=on_duplicate))  # type: ignore[arg-type]
    assert report.sent == sent
    assert report.complete is complete
    assert [result.status for result in report.results] == [status, "stored", "stored", status, "stored"]
    assert orthanc.instance_count() == 5


def test_verification_finds_a_server_that_kept_something_else(
    orthanc: Orthanc, settings: Settings, series: tuple[list[Made], list[Part]]
):
    made, parts = series
    orthanc.add(changed(made[2], PatientComments="not what is sent").data)
    with orthanc_client(orthanc, settings) as client:
        report = ended(push(parts, client, settings, on_duplicate="send", verify=True))
    assert [result.status for result in report.results] == ["stored", "stored", "failed", "stored", "stored"]
    assert "other content" in report.results[2].reason
    assert not report.complete


@pytest.mark.slow
def test_verification_accepts_a_server_that_rewrites(
    settings: Settings, series: tuple[list[Made], list[Part]]
):
    made, parts = series
    server = Awkward()

    def rewrites(sent: list[Made]) -> Answer:
        for one in sent:  # the same data set in a file of the server's own making
            one.dataset.file_meta.ImplementationVersionName = "AWKWARD"
            server.keep([changed(one)])
        return accepted(sent)

    server.stores = rewrites
    with client_of(server, settings) as client:
        report = ended(push(parts, client, settings, verify=True))
    assert report.complete
    assert {result.status for result in report.results} == {"stored"}
    assert all("rewritten" in result.reason for result in report.results)
    assert [one.data for one in server.instances] != [one.data for one in made]


@pytest.mark.slow
def test_a_server_that_says_nothing_is_asked_what_it_holds(
    settings: Settings, series: tuple[list[Made], list[Part]]
):
    made, parts = series
    server = Awkward()

    def silent(sent: list[Made]) -> Answer:
        server.keep([one for one in sent if one.instance != made[1].instance])
        return Answer(200, b"success", {"Content-Type": "text/plain"})

    server.stores = silent
    with client_of(server, settings) as client:
        report = ended(push(parts, client, settings))
    assert [result.status for result in report.results].count("stored") == 4
    assert report.results[1].status in ("failed", "unconfirmed")
    assert not report.complete


def test_a_server_without_uploads_is_named(settings: Settings, series: tuple[list[Made], list[Part]]):
    _, parts = series
    with client_of(Awkward(), settings) as client, pytest.raises(UnsupportedByServer, match="awkward"):
        ended(push(parts, client, settings))


def test_a_refused_login_ends_the_push(settings: Settings, series: tuple[list[Made], list[Part]]):
    _, parts = series
    with client_of(lambda _: refused(401), settings) as client, pytest.raises(AuthenticationError):
        ended(push(parts, client, settings))


def test_a_login_that_may_store_need_not_be_allowed_to_search(
    settings: Settings, series: tuple[list[Made], list[Part]]
):
    _, parts = series
    server = Awkward(stores=accepted)

    def stores_only(request: Request) -> Answer | None:
        return server(request) if request.method == "POST" else refused(403)

    with client_of(stores_only, settings) as client:
        report = ended(push(parts, client, settings))
    assert report.complete
    assert {result.status for result in report.results} == {"stored"}
    assert any("Duplicates cannot be seen" in warning for warning in report.warnings)


def test_a_server_without_lists_is_reported_once_for_all_series(settings: Settings):
    made = [*ct_series(1), *ct_series(1), *ct_series(1)]
    parts = [
        Part("application/dicom", lambda one=one: iter([one.data]), len(one.data), resource=one.resource)
        for one in made
    ]

    def no_lists(request: Request) -> Answer:
        if request.method == "POST":
            return server(request)
        series = request.path.split("/series/")[-1].split("/")[0]
        return Answer(501, f"no {series}".encode(), {"Content-Type": "text/plain"})

    server = Awkward(stores=accepted)
    with client_of(no_lists, settings) as client:
        report = ended(push(parts, client, settings))
    assert report.complete
    (warning,) = report.warnings
    assert warning.startswith("Duplicates cannot be seen beforehand (3 series): ")


def test_a_file_that_is_gone_fails_alone(settings: Settings, series: tuple[list[Made], list[Part]]):
    _, parts = series
    assert parts[1].path is not None
    parts[1].path.unlink()
    with client_of(Awkward(stores=accepted), settings) as client:
        report = ended(push(parts, client, settings))
    assert [result.status for result in report.results] == ["stored", "failed", *["stored"] * 3]
    assert str(parts[1].path) in report.results[1].reason


def test_what_is_damaged_in_the_archive_is_named_and_the_rest_is_sent(
    settings: Settings, series: tuple[list[Made], list[Part]], orthanc: Orthanc
):
    made, files = series
    with Archive.open(settings) as archive, archive.writer() as writer:
        for part in files:
            writer.add(part)
    with Archive.open(settings) as archive, orthanc_client(orthanc, settings) as client:
        lost, cut, other = (archive.instances(one.resource)[0].path for one in made[1:4])
        lost.unlink()
        cut.write_bytes(cut.read_bytes()[:-20])
        other.write_bytes(other.read_bytes()[:-1] + b"\xff")
        parts = [archive.part(one) for one in archive.instances(Resource(made[0].study))]
        report = ended(push(parts, client, settings))
    assert [one.status for one in report.results] == ["stored", "failed", "failed", "failed", "stored"]
    assert all("damaged" in one.reason for one in report.results[1:4])
    assert not report.complete
    assert report.sent == 2


@pytest.mark.slow
def test_a_file_that_is_damaged_while_others_are_sent_is_not_sent(
    settings: Settings, series: tuple[list[Made], list[Part]]
):
    made, files = series
    received: list[bytes] = []
    settings = replace(settings, store_batch=1, store_workers=1)
    with Archive.open(settings) as archive:
        with archive.writer() as writer:
            for part in files:
                writer.add(part)
        last = archive.instances(made[4].resource)[0].path

        def damages_it(sent: list[Made]) -> Answer:
            received.extend(one.data for one in sent)
            last.write_bytes(made[4].data[:-1] + b"\xee")
            return accepted(sent)

        parts = [archive.part(one) for one in archive.instances(Resource(made[0].study))]
        with client_of(Awkward(stores=damages_it), settings) as client:
            report = ended(push(parts, client, settings))
    assert [one.status for one in report.results] == [*["stored"] * 4, "failed"]
    assert "damaged" in report.results[4].reason
    assert received == [one.data for one in made[:4]]


def test_sending_begins_before_all_files_are_compared(
    settings: Settings, series: tuple[list[Made], list[Part]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dicomdock.transfer.push.CHECKED_AHEAD", 1)
    settings = replace(settings, store_batch=1, store_workers=1)
    _, files = series
    compared: list[Path] = []
    when: list[int] = []

    def stores(sent: list[Made]) -> Answer:
        when.append(len(set(compared)))
        return accepted(sent)

    def compare(path: Path) -> bool:
        compared.append(path)
        return True

    def noted(part: Part) -> Part:
        path = part.path
        assert path is not None
        return replace(part, intact=lambda: compare(path))

    with client_of(Awkward(stores=stores), settings) as client:
        report = ended(push([noted(part) for part in files], client, settings))
    assert report.complete
    assert when[0] < len(files)


def test_a_file_that_goes_while_it_is_sent_is_named(
    settings: Settings, series: tuple[list[Made], list[Part]]
):
    _, parts = series
    server = Awkward(stores=accepted)
    path = parts[4].path
    assert path is not None

    def takes_it_away(sent: list[Made]) -> Answer:
        path.unlink(missing_ok=True)
        return accepted(sent)

    server.stores = takes_it_away
    one_by_one = replace(settings, store_batch=1, store_workers=1)
    with client_of(server, one_by_one) as client, pytest.raises(StoreError, match=path.name):
        ended(push(parts, client, one_by_one))


def test_what_never_left_is_not_counted_as_sent(settings: Settings, series: tuple[list[Made], list[Part]]):
    _, parts = series
    nobody = ServerProfile("gone", f"http://127.0.0.1:{free_port()}/dicom-web")
    impatient = replace(settings, store_batch=1, store_workers=1, retries=0)
    with Client(nobody, settings=impatient) as client:
        report = ended(push(parts, client, impatient, on_duplicate="send"))
    assert {result.status for result in report.results} == {"failed"}
    assert report.sent == 0


def test_a_file_that_cannot_be_read_is_not_left_out_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    locked, _ = write(tmp_path / "folder", ct_series(2))
    opened = Path.open

    def refuses(path: Path, *args: Any, **options: Any) -> Any:
        if path == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuses)
    selection = select_files([tmp_path / "folder"])
    assert len(selection.parts) == 1
    (unsent,) = selection.unsent
    assert unsent.result.status == "failed"
    assert unsent.path == str(locked)
    assert "Permission denied" in unsent.result.reason
    with pytest.raises(InvalidInput, match="Permission denied"):
        select_files([locked])


def test_every_file_of_a_folder_gets_an_answer(orthanc: Orthanc, settings: Settings, tmp_path: Path):
    """Of several files under one UID one is sent, and whoever looks for the others learns why."""
    one, next_to_it = ct_series(2)
    folder = tmp_path / "folder"
    write(folder / "a", [one, next_to_it])
    write(folder / "b", [one])  # the same bytes
    write(folder / "c", [changed(one, PatientComments="other bytes")])
    (folder / "nameless.dcm").write_bytes(changed(one, StudyInstanceUID="").data)
    uid = one.instance.encode()
    (folder / "unusable").write_bytes(one.data.replace(uid, b"/" * len(uid)))
    (folder / "text.dcm").write_text("not an image")
    (folder / "notes.txt").write_text("not an image")
    (folder / "packed.dcm.gz").write_bytes(gzip.compress(one.data))
    with zipfile.ZipFile(folder / "packed.zip", "w") as packed:
        packed.writestr("image.dcm", one.data)
    selection = select_files([folder])
    with orthanc_client(orthanc, settings) as client:
        report = ended(push(selection, client, settings))
    assert orthanc.instance_count() == 2
    assert [result.status for result in report.results].count("stored") == 2
    assert not report.complete
    assert report.instances == 2
    assert report.passed_over == 1
    reasons = {one.path.removeprefix(f"{folder}/"): one.result for one in selection.unsent}
    assert {name.split("/")[0]: result.status for name, result in reasons.items()} == {
        "b": "duplicate",
        "c": "failed",
        "nameless.dcm": "failed",
        "unusable": "failed",
        "text.dcm": "failed",
        "packed.dcm.gz": "failed",
        "packed.zip": "failed",
    }
    with pytest.raises(InvalidInput, match=r"packed\.zip was not sent: It is a packed file; unpack it"):
        select_files([folder / "packed.zip"])
    assert [one.result for one in selection.unsent] == list(report.results[2:])
    assert all(one.path in one.result.reason for one in selection.unsent)


def test_the_same_file_in_the_archive_and_in_a_folder_is_one_instance(
    orthanc: Orthanc, settings: Settings, tmp_path: Path
):
    one = ct_series(1)[0]
    twice = parts_of_files(write(tmp_path / "one", [one])) + parts_of_files(write(tmp_path / "two", [one]))
    with orthanc_client(orthanc, settings) as client:
        report = ended(push(twice, client, settings))
    assert report.complete
    assert (report.instances, report.sent) == (1, 1)
    assert [result.status for result in report.results] == ["stored", "duplicate"]


def test_one_uid_in_two_series_is_sent_as_two_instances(orthanc: Orthanc, settings: Settings, tmp_path: Path):
    one = ct_series(1)[0]
    other = changed(one, SeriesInstanceUID=generate_uid(), SeriesDescription="the same, filed elsewhere")
    parts = parts_of_files(write(tmp_path / "both", [one, other]))
    with orthanc_client(orthanc, settings) as client:
        report = ended(push(parts, client, settings))
    assert len(report.results) == 2
    assert report.sent == 2
    assert {result.status for result in report.results} == {"stored"}
    assert orthanc.instance_count() == 2


@pytest.mark.slow
def test_closing_the_push_cancels_it(settings: Settings, tmp_path: Path):
    parts = parts_of_files(write(tmp_path / "many", ct_series(30, rows=64, columns=64)))
    third, free = threading.Event(), threading.Event()
    batches: list[list[Made]] = []

    def stores(sent: list[Made]) -> Answer:
        batches.append(sent)
        if len(batches) == 3:
            third.set()
            free.wait(60)
        return accepted(sent)

    one_by_one = replace(settings, store_batch=1, store_workers=1)
    with client_of(Awkward(stores=stores), one_by_one) as client:
        work = push(parts, client, one_by_one, on_cancel=free.set)
        while not third.is_set():
            next(work)
        work.close()
    assert len(batches) < 10


def test_files_that_are_not_dicom_are_refused_by_name_but_passed_over_in_folders(tmp_path: Path):
    folder = tmp_path / "mixed"
    made = ct_series(2)
    write(folder / "deep", made)
    (folder / "notes.txt").write_text("not an image")
    assert {part.resource for part in parts_of_files([folder])} == {one.resource for one in made}
    with pytest.raises(InvalidInput, match=r"notes\.txt"):
        parts_of_files([folder / "notes.txt"])
    with pytest.raises(InvalidInput, match="no file or folder"):
        parts_of_files([folder / "absent"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInput, match="no DICOM file"):
        parts_of_files([empty])
