"""A pull that ends early, or that something else writes beside: what came stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydicom.uid import generate_uid

from dicomdock.archive import Archive
from dicomdock.archive.writer import AddResult, ArchiveWriter
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.dicomweb.retrieve import FORMS
from dicomdock.errors import AuthenticationError, NoSpace, NotFound, Unreachable
from dicomdock.transfer.pull import pull
from dicomdock.web.auth import BasicAuth
from tests.builders import Made, changed, ct_series, mr_series
from tests.dicomweb.awkward import Awkward, multipart, refused
from tests.dicomweb.clients import client_of, orthanc_client
from tests.programs import python
from tests.servers.canned import Answer, Request
from tests.servers.orthanc import Orthanc
from tests.servers.process import free_port
from tests.transfer.conftest import ended
from tests.transfer.pulling import counts, kept, originals, part_of, series_of

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.mark.slow
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_what_the_server_does_not_have_is_not_found(archive: Archive, settings: Settings, level: str):
    made = ct_series(1)[0]
    places = {
        "study": Resource(generate_uid()),
        "series": Resource(made.study, generate_uid()),
        "instance": Resource(made.study, made.series, generate_uid()),
    }
    with client_of(Awkward([made]), settings) as client:
        work = pull(client, archive, [places[level]], settings)
        if level == "instance":  # asked for by name: the report names it
            report = ended(work)
            assert [one.resource for one in report.missing] == [places[level]]
            assert not report.complete
        else:
            with pytest.raises(NotFound):
                ended(work)
    assert archive.instances(Resource(made.study)) == []


def test_a_refused_login_ends_the_pull(orthanc: Orthanc, archive: Archive, settings: Settings):
    profile = ServerProfile("orthanc", orthanc.url)
    with (
        Client(profile, settings=settings, auth=BasicAuth("alice", "wrong")) as client,
        pytest.raises(AuthenticationError, match="alice"),
    ):
        ended(pull(client, archive, [Resource("1.2.3")], settings))


@pytest.mark.slow
def test_a_server_that_goes_away_ends_the_pull_with_what_came(archive: Archive, settings: Settings):
    made = ct_series(40)
    server = Awkward(made, levels=("instance",))
    given = threading.Semaphore(10)

    def dies(request: Request) -> Answer | None:
        if "/instances/" in request.path and not given.acquire(blocking=False):
            return Answer(200, b"", {"Content-Length": "100000"})  # hangs up at once, again and again
        return server(request)

    with client_of(dies, settings, retrieve_level="instance") as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert report.received == 10
    assert len(report.missing) == 30
    assert not report.complete
    assert len(archive.instances(series_of(made))) == 10


@pytest.mark.slow
def test_a_gateway_without_its_server_is_not_asked_for_every_instance(archive: Archive, settings: Settings):
    made = ct_series(40)
    server = Awkward(made, levels=("instance",))
    asked: list[str] = []

    def gateway(request: Request) -> Answer | None:
        if "/instances/" in request.path:
            asked.append(request.path)
            return refused(502)
        return server(request)

    one_by_one = replace(settings, instance_workers=1)
    with client_of(gateway, one_by_one, retrieve_level="instance") as client:
        report = ended(pull(client, archive, [series_of(made)], one_by_one))
    assert len(report.missing) == 40
    # Three instances, each tried twice, and once more at the end; one of them in all other forms too.
    assert len(asked) <= 2 * 2 * 3 + len(FORMS) - 1


def test_a_server_that_is_down_says_so(archive: Archive, settings: Settings):
    profile = ServerProfile("gone", f"http://127.0.0.1:{free_port()}")
    quick = replace(settings, retries=0)
    with Client(profile, settings=quick) as client, pytest.raises(Unreachable):
        ended(pull(client, archive, [Resource("1.2.3")], quick))


def test_too_little_space_stops_the_pull_and_leaves_the_archive_whole(settings: Settings):
    made = ct_series(3, rows=256, columns=256)
    narrow = replace(settings, free_space_floor=1 << 60)
    with Archive.open(narrow) as archive:
        with client_of(Awkward(made), settings) as client, pytest.raises(NoSpace):
            ended(pull(client, archive, [series_of(made)], narrow))
        assert archive.instances(series_of(made)) == []
    assert not list(narrow.archive.rglob("*.dcm"))
    assert not [file for file in (narrow.archive / "files").rglob("*") if file.is_file()]


@pytest.mark.slow
def test_closing_the_pull_cancels_it_and_keeps_what_came(archive: Archive, settings: Settings):
    made = ct_series(30)
    server = Awkward(made, levels=("instance",))
    left = threading.Semaphore(10)

    def stalls(request: Request) -> Answer | None:
        if "/instances/" in request.path and not left.acquire(blocking=False):
            return None
        return server(request)

    with client_of(stalls, settings, retrieve_level="instance") as client:
        work = pull(client, archive, [series_of(made)], settings, on_cancel=client.close)
        while next(work).done < 10:
            pass
        work.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name == "transfer"]
    assert len(archive.instances(series_of(made))) == 10
    with client_of(server, settings, retrieve_level="instance") as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (30, 20, 10, 0, 0)
    assert kept(archive, series_of(made)) == originals(made)


def test_instances_of_another_study_are_not_taken_from_a_server(archive: Archive, settings: Settings):
    made, foreign = ct_series(3), ct_series(2)
    with archive.writer() as writer:
        writer.add(part_of(foreign[0]))
    server = Awkward(made)

    def slips_in(request: Request) -> Answer | None:
        if request.path.endswith(made[0].series):
            return multipart(one.data for one in [made[0], foreign[1], *made[1:]])
        return server(request)

    with client_of(slips_in, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (3, 3, 0, 0, 0)
    assert report.complete
    assert any("another series" in warning for warning in report.warnings)
    assert kept(archive, series_of(foreign)) == originals(foreign[:1])
    assert kept(archive, series_of(made)) == originals(made)


def test_a_conflict_that_another_process_made_meanwhile_is_reported(archive: Archive, settings: Settings):
    made = ct_series(2)
    server = Awkward(made)
    theirs = changed(made[1], PatientComments="stored while the pull ran")

    def meanwhile(request: Request) -> Answer | None:
        if request.path.endswith(made[0].series):
            started.set()
            stored.wait(60)
        return server(request)

    started, stored = threading.Event(), threading.Event()
    with client_of(meanwhile, settings) as client:
        work = pull(client, _Late(archive, theirs), [series_of(made)], settings)  # type: ignore[arg-type]
        stored.set()
        report = ended(work)
    assert counts(report) == (2, 1, 0, 1, 0)
    assert not report.complete
    assert report.failures[0].resource == made[1].resource
    assert kept(archive, series_of(made)) == {**originals(made), theirs.instance: theirs.data}


class _Late:
    """An archive into which another writer puts an instance after all has been received."""

    def __init__(self, archive: Archive, instance: Made) -> None:
        self._archive, self._instance = archive, instance

    def present(self, resource: Resource) -> set[str]:
        return self._archive.present(resource)

    @contextmanager
    def writer(self, **options: object) -> Iterator[ArchiveWriter]:
        with self._archive.writer(**options) as writer:  # type: ignore[arg-type]
            flush = writer.flush

            def late() -> tuple[AddResult, ...]:
                with self._archive.writer() as other:
                    other.add(part_of(self._instance))
                return flush()

            writer.flush = late  # type: ignore[method-assign]
            yield writer


PROGRAM = """
import sys
from pathlib import Path
from dicomdock.archive import Archive
from dicomdock.dicomweb import Client
from dicomdock.web.auth import BasicAuth
from dicomdock.config.servers import ServerProfile
from dicomdock.dicom.resource import Resource
from dicomdock.config.settings import Settings
from dicomdock.transfer.pull import pull
settings = Settings.load(Path(sys.argv[1]))
with Archive.open(settings) as archive, Client(
    ServerProfile("orthanc", sys.argv[2]), settings=settings, auth=BasicAuth("alice", "secret")
) as client:
    print("begun", flush=True)
    for progress in pull(client, archive, [Resource(sys.argv[3])], settings):
        pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [20, 60, 120, 200, 300])
def test_after_a_kill_only_what_is_missing_is_fetched(
    orthanc: Orthanc, settings: Settings, milliseconds: int
):
    made = [one for _ in range(4) for one in mr_series(40, rows=256, columns=256)]
    made = [changed(one, StudyInstanceUID=made[0].study) for one in made]
    orthanc.add(*(one.data for one in made))
    study = Resource(made[0].study)
    with python(PROGRAM, settings.state.parent, orthanc.url, str(study)) as child:
        child.line("begun")
        child.ends_within(milliseconds / 1000)  # the moment of a kill has no event to wait for
        child.kill()
    with Archive.open(settings) as archive, orthanc_client(orthanc, settings) as client:
        here = len(archive.instances(study))
        report = ended(pull(client, archive, [study], settings))
        assert counts(report) == (160, 160 - here, here, 0, 0)
        assert report.complete
        assert kept(archive, study) == originals(made)
        assert {finding.status for finding in archive.verify()} <= {"intact"}
