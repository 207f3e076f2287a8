"""A pull brings everything, proves it, and never takes a part for the whole."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from pydicom.uid import generate_uid

from dicomdock.archive import Archive
from dicomdock.archive.writer import AddResult, ArchiveWriter
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.dicomweb.retrieve import FORMS
from dicomdock.errors import AuthenticationError, NoSpace, NotFound, Unreachable, UnsupportedByServer
from dicomdock.sources import Part
from dicomdock.transfer import PullReport
from dicomdock.transfer.pull import pull
from dicomdock.web.auth import BasicAuth
from tests.builders import Made, changed, ct_series, mr_series
from tests.conftest import shared_data
from tests.dicomweb.awkward import Awkward, encoded, multipart, refused, rows
from tests.dicomweb.clients import client_of, orthanc_client
from tests.programs import python
from tests.servers.canned import Answer, Request
from tests.servers.orthanc import Orthanc
from tests.servers.process import free_port
from tests.transfer.conftest import ended

pytestmark = pytest.mark.usefixtures("quick_retries")


def series_of(instances: list[Made]) -> Resource:
    return Resource(instances[0].study, instances[0].series)


def kept(archive: Archive, resource: Resource) -> dict[str, bytes]:
    return {one.resource.instance or "": one.path.read_bytes() for one in archive.instances(resource)}


def originals(*series: list[Made]) -> dict[str, bytes]:
    return {one.instance: one.data for instances in series for one in instances}


def counts(report: PullReport) -> tuple[int, int, int, int, int]:
    return (
        report.expected,
        report.received,
        report.skipped,
        len(report.failures),
        len(report.missing),
    )


def test_a_study_comes_whole_and_byte_for_byte(orthanc: Orthanc, archive: Archive, settings: Settings):
    one, two = ct_series(5), ct_series(3)
    two = [changed(made, StudyInstanceUID=one[0].study) for made in two]
    orthanc.add(*(made.data for made in [*one, *two]))
    with orthanc_client(orthanc, settings) as client:
        report = ended(pull(client, archive, [Resource(one[0].study)], settings))
    assert counts(report) == (8, 8, 0, 0, 0)
    assert report.complete
    assert report.bytes == sum(len(made.data) for made in [*one, *two])
    assert kept(archive, Resource(one[0].study)) == originals(one, two)


def test_the_real_head_comes_whole(orthanc: Orthanc, archive: Archive, settings: Settings):
    files = sorted(shared_data("mr-head").glob("*.dcm"))
    orthanc.add(*files)
    with orthanc_client(orthanc, settings) as client:
        (page,) = [page for page in client.search(Query()) if page.matches]
        study = page.matches[0].attributes["0020000D"]["Value"][0]  # type: ignore[index,call-overload]
        report = ended(pull(client, archive, [Resource(str(study))], settings))
    assert counts(report) == (384, 384, 0, 0, 0)
    assert report.complete
    bodies = sorted(one.path.read_bytes() for one in archive.instances(Resource(str(study))))
    assert bodies == sorted(file.read_bytes() for file in files)


@pytest.mark.slow
def test_what_is_here_is_not_fetched_again(archive: Archive, settings: Settings):
    made = ct_series(4)
    server = Awkward(made)
    with client_of(server, settings) as client:
        first = ended(pull(client, archive, [made[0].resource], settings))
        assert counts(first) == (1, 1, 0, 0, 0)
        server.asked.clear()
        second = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(second) == (4, 3, 1, 0, 0)
    fetched = [request.path for request in server.asked if "multipart" in request.headers.get("Accept", "")]
    assert len(fetched) == 3
    assert not any(made[0].instance in path for path in fetched)
    assert kept(archive, series_of(made)) == originals(made)


def retrievals(server: Awkward) -> list[str]:
    return [one.path for one in server.asked if "multipart" in one.headers.get("Accept", "")]


def archived(archive: Archive, made: Iterable[Made]) -> None:
    with archive.writer() as writer:
        for one in made:
            writer.add(_part(one))


class Writes:
    """Counts what a pull writes into an archive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instances: list[str] = []
        receive = ArchiveWriter.receive

        def counting(writer: ArchiveWriter, part: Part, expected: Resource | None = None):
            pending = receive(writer, part, expected)
            self.instances.append(pending.resource.instance or "")
            return pending

        monkeypatch.setattr(ArchiveWriter, "receive", counting)


@pytest.mark.slow
@pytest.mark.parametrize("present", [1, 9, 10])
def test_a_series_of_which_much_is_missing_is_streamed_and_what_is_present_is_not_written(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, present: int
):
    made = ct_series(20)
    here = made[20 - present :]
    archived(archive, here)
    writes = Writes(monkeypatch)
    server = Awkward(made)
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (20, 20 - present, present, 0, 0)
    assert report.complete
    assert [path.endswith(made[0].series) for path in retrievals(server)] == [True]
    assert sorted(writes.instances) == sorted(one.instance for one in made[: 20 - present])
    assert kept(archive, series_of(made)) == originals(made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "present", "rows"),
    [(8, 4, 16), (9, 12, 16), (9, 9, 256)],
    ids=["few", "less than half", "what is present is much on the wire"],
)
def test_a_series_of_which_little_is_missing_is_completed_one_by_one(
    archive: Archive, settings: Settings, missing: int, present: int, rows: int
):
    made = ct_series(missing + present, rows=rows, columns=rows)
    archived(archive, made[:present])
    server = Awkward(made)
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (missing + present, missing, present, 0, 0)
    assert sorted(path.rpartition("/")[2] for path in retrievals(server)) == sorted(
        one.instance for one in made[present:]
    )
    assert kept(archive, series_of(made)) == originals(made)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0.0, 0.05, 0.4, 0.9, None], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_stream_that_completes_a_series_lacks_is_fetched(
    archive: Archive, settings: Settings, cut: float | None, seed: int
):
    chance = random.Random(seed)
    made, foreign = ct_series(30), ct_series(2)
    chance.shuffle(made)
    present = chance.randint(1, 15)
    archived(archive, made[:present])
    server = Awkward(chance.sample(made, 30), leaves_out=frozenset(one.instance for one in made[::7]))

    def cuts(request: Request) -> Answer | None:
        answer = server(request)
        if request.path.endswith(made[0].series):
            streamed = [one.data for one in server.instances if one.instance not in server.leaves_out]
            streamed.insert(chance.randrange(len(streamed)), foreign[0].data)
            whole = encoded(streamed)
            return Answer(200, whole if cut is None else whole[: int(len(whole) * cut)], answer.headers)
        return answer

    with client_of(cuts, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (30, 30 - present, present, 0, 0)
    assert report.complete
    assert kept(archive, series_of(made)) == originals(made)
    assert archive.instances(series_of(foreign)) == []


@pytest.mark.slow
def test_a_server_that_turns_out_not_to_stream_series_is_asked_for_what_is_missing_alone(
    archive: Archive, settings: Settings
):
    made = ct_series(20)
    archived(archive, made[:6])
    server = Awkward(made, levels=("instance",))
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (20, 14, 6, 0, 0)
    assert len(retrievals(server)) <= 14 + 1 + 7  # one in vain, and the forms of the series
    assert kept(archive, series_of(made)) == originals(made)


def test_a_real_server_completes_a_series_in_one_stream(
    orthanc: Orthanc, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    made = ct_series(60)
    orthanc.add(*(one.data for one in made))
    archived(archive, made[20:41])
    writes = Writes(monkeypatch)
    with orthanc_client(orthanc, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (60, 39, 21, 0, 0)
    assert len(writes.instances) == 39
    assert report.bytes == sum(len(one.data) for one in made)  # all that came over the line
    assert kept(archive, series_of(made)) == originals(made)


@pytest.mark.slow
@pytest.mark.parametrize("counted", [False, True])
def test_an_instance_left_out_of_a_good_answer_is_noticed_and_fetched(
    archive: Archive, settings: Settings, counted: bool
):
    made = ct_series(6)
    if counted:  # the server states the number of instances, as most do; else only its list tells
        made = [changed(one, NumberOfSeriesRelatedInstances=6) for one in made]
    server = Awkward(made, leaves_out=frozenset({made[2].instance, made[5].instance}))
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (6, 6, 0, 0, 0)
    assert report.complete
    assert kept(archive, series_of(made)) == originals(made)


@pytest.mark.slow
def test_an_instance_that_never_arrives_is_named(archive: Archive, settings: Settings):
    made = ct_series(3)
    server = Awkward(made)
    lost = made[1].instance

    def loses(request: Request) -> Answer | None:
        if request.path.endswith(lost):
            return refused(404)
        return server(request)

    server.leaves_out = frozenset({lost})
    with client_of(loses, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (3, 2, 0, 0, 1)
    assert not report.complete
    assert [failure.resource.instance for failure in report.missing] == [lost]
    assert report.missing[0].reason
    assert report.to_json()["instances"]["missing"] == [lost]  # type: ignore[index,call-overload]


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_an_answer_cut_in_the_middle_is_completed(archive: Archive, settings: Settings, cut: float):
    made = ct_series(5)
    server = Awkward(made)

    def cuts(request: Request) -> Answer | None:
        answer = server(request)
        if request.path.endswith(made[0].series):
            whole = encoded(one.data for one in made)
            return Answer(200, whole[: int(len(whole) * cut)], answer.headers)
        return answer

    with client_of(cuts, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert counts(report) == (5, 5, 0, 0, 0)
    assert report.complete
    assert kept(archive, series_of(made)) == originals(made)


@pytest.mark.slow
def test_a_server_without_series_retrieval_gives_every_instance(archive: Archive, settings: Settings):
    made = ct_series(12)
    server = Awkward(made, levels=("instance",), single=True)
    with client_of(server, settings, retrieve_level="instance", single_part=True) as client:
        report = ended(pull(client, archive, [Resource(made[0].study)], settings))
    assert counts(report) == (12, 12, 0, 0, 0)
    assert kept(archive, series_of(made)) == originals(made)


@pytest.mark.slow
def test_a_conflict_keeps_the_first_copy_and_replace_takes_the_new(archive: Archive, settings: Settings):
    mine = ct_series(2)
    theirs = [mine[0], changed(mine[1], PatientComments="edited on the server")]
    with archive.writer() as writer:
        writer.add(_part(mine[1]))
    with client_of(Awkward(theirs), settings) as client:
        plain = ended(pull(client, archive, [series_of(mine)], settings))
        assert counts(plain) == (2, 1, 1, 0, 0)
        assert kept(archive, series_of(mine)) == originals(mine)
        replaced = ended(pull(client, archive, [series_of(mine)], settings, replace=True))
    assert replaced.received == 2
    assert kept(archive, series_of(mine)) == originals(theirs)


def _part(made: Made) -> Part:
    return Part("application/dicom", lambda: iter([made.data]), length=len(made.data))


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
        writer.add(_part(foreign[0]))
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
                    other.add(_part(self._instance))
                return flush()

            writer.flush = late  # type: ignore[method-assign]
            yield writer


def test_a_server_that_lists_no_instances_is_streamed_again(archive: Archive, settings: Settings):
    made = ct_series(4)
    with archive.writer() as writer:
        writer.add(_part(made[0]))
    server = Awkward(made, lists=("studies", "series", "studies/series"))
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert kept(archive, series_of(made)) == originals(made)
    assert counts(report) == (4, 3, 1, 0, 0)
    assert not report.complete  # it cannot be proved
    assert report.warnings


def requests_of(server: Awkward, path: str) -> int:
    return sum(one.path.partition("?")[0] == path for one in server.asked)


@pytest.mark.slow
def test_what_a_server_gives_as_whole_studies_only_comes_so(archive: Archive, settings: Settings):
    one = ct_series(3)
    two = [changed(made, StudyInstanceUID=one[0].study) for made in ct_series(2)]
    study = Resource(one[0].study)
    server = Awkward([*one, *two], levels=("study",))
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [series_of(two)], settings))
        assert (counts(report), report.complete) == ((2, 2, 0, 0, 0), True)
        assert kept(archive, study) == originals(two)  # nothing that was not asked for
        archive.remove(study)
        report = ended(pull(client, archive, [study], settings))
        assert (counts(report), report.complete) == ((5, 5, 0, 0, 0), True)
        assert kept(archive, study) == originals(one, two)
        assert report.warnings == (f"{client.name} gave {study} as a whole only.",)


@pytest.mark.slow
def test_whole_studies_come_where_no_instances_are_listed_either(archive: Archive, settings: Settings):
    one = ct_series(3)
    two = [changed(made, StudyInstanceUID=one[0].study) for made in ct_series(2)]
    study = Resource(one[0].study)
    server = Awkward([*one, *two], levels=("study",), lists=("studies", "studies/series"))
    for known in (False, True):
        with client_of(server, settings, whole_studies=known) as client:
            report = ended(pull(client, archive, [series_of(two)], settings))
            assert (report.missing, report.failures) == ((), ())
            assert kept(archive, study) == originals(two)
            report = ended(pull(client, archive, [study], settings))
            assert (report.missing, report.complete) == ((), False)  # nothing says how many there are
            assert kept(archive, study) == originals(one, two)
            archive.remove(study)


@pytest.mark.slow
def test_of_a_server_known_to_give_whole_studies_nothing_less_is_requested(
    archive: Archive, settings: Settings
):
    one = ct_series(3)
    two = [changed(made, StudyInstanceUID=one[0].study) for made in ct_series(2)]
    study = Resource(one[0].study)
    server = Awkward([*one, *two], levels=("study",))
    with client_of(server, settings, whole_studies=True) as client:
        for asked, expected in (
            (series_of(two), two),
            (one[1].resource, [one[1], *two]),
            (study, [*one, *two]),
        ):
            server.asked.clear()
            report = ended(pull(client, archive, [asked], settings))
            assert report.complete
            assert kept(archive, study) == originals(expected)
            retrieved = [each.path for each in server.asked if "?" not in each.path]
            assert retrieved == [f"/studies/{study.study}"]
        server.asked.clear()
        assert ended(pull(client, archive, [study], settings)).complete
        assert not [each for each in server.asked if "?" not in each.path]
        assert ended(pull(client, archive, [study], settings)).skipped == 5
        archive.remove(study)
        server.leaves_out = frozenset({one[1].instance})
        report = ended(pull(client, archive, [study], settings))
        assert (counts(report), report.complete) == ((5, 4, 0, 0, 1), False)
        assert [failure.resource for failure in report.missing] == [one[1].resource]


@pytest.mark.slow
@pytest.mark.parametrize("there", [0, 2])
def test_a_study_is_not_transferred_again_for_one_instance_that_the_server_has_lost(
    archive: Archive, settings: Settings, there: int
):
    made = ct_series(3)
    archived(archive, made[:there])
    server = Awkward(made, leaves_out=frozenset({made[2].instance}))

    def losing(request: Request) -> Answer:
        return refused(404) if request.path.endswith(made[2].instance) else server(request)

    with client_of(losing, settings) as client:
        report = ended(pull(client, archive, [Resource(made[0].study)], settings))
        assert [failure.resource for failure in report.missing] == [made[2].resource]
    assert requests_of(server, f"/studies/{made[0].study}") == 0


class WithoutSeriesUids(Awkward):
    """Lists series without their UIDs, or not at all."""

    def search(self, path: list[str], query: list[tuple[str, str]]) -> Answer:
        found = super().search(path, query)
        if path[-1] != "series" or found.status != 200:
            return found
        bare = [{tag: one for tag, one in row.items() if tag != "0020000E"} for row in json.loads(found.body)]
        return rows(bare)


def series_without_uids(made: list[Made]) -> Awkward:
    return WithoutSeriesUids(made)


def studies_alone(made: list[Made]) -> Awkward:
    return Awkward(made, lists=("studies",))


@pytest.mark.slow
@pytest.mark.parametrize("server", [series_without_uids, studies_alone])
def test_a_study_without_a_list_of_series_comes_as_one_stream(
    archive: Archive, settings: Settings, server: Callable[[list[Made]], Awkward]
):
    one, two = ct_series(2), ct_series(2)
    two = [changed(made, StudyInstanceUID=one[0].study) for made in two]
    study, absent = Resource(one[0].study), Resource(generate_uid())
    archived(archive, one[:1])
    with client_of(server([*one, *two]), settings) as client:
        report = ended(pull(client, archive, [absent, study], settings))
        assert kept(archive, study) == originals(one, two)
        assert counts(report) == (4, 3, 1, 0, 1)
        assert [failure.resource for failure in report.missing] == [absent]
        assert not report.complete  # it cannot be proved
        (warning,) = report.warnings
        assert f"Study {study} came as one stream and cannot be proved complete" in warning
        with pytest.raises((NotFound, UnsupportedByServer)):
            ended(pull(client, archive, [absent], settings))


def test_an_unknown_study_does_not_keep_the_others_from_coming(archive: Archive, settings: Settings):
    made = ct_series(3)
    absent = Resource(generate_uid())
    with client_of(Awkward(made), settings) as client:
        report = ended(pull(client, archive, [absent, Resource(made[0].study)], settings))
    assert counts(report) == (3, 3, 0, 0, 1)
    assert [failure.resource for failure in report.missing] == [absent]
    assert not report.complete
    assert kept(archive, series_of(made)) == originals(made)


def test_what_is_named_twice_is_fetched_and_counted_once(archive: Archive, settings: Settings):
    made = ct_series(3)
    server = Awkward(made)
    named = [made[0].resource, series_of(made), Resource(made[0].study)]
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, named, settings))
    assert counts(report) == (3, 3, 0, 0, 0)
    fetched = [request.path for request in server.asked if "multipart" in request.headers.get("Accept", "")]
    assert len(fetched) == 1


class _Together(Awkward):
    """Answers no search for series before three have been asked for."""

    def __init__(self, made: list[Made]) -> None:
        super().__init__(made)
        self.asked_for: set[str] = set()
        self.three = threading.Event()

    def __call__(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path.endswith("/series"):
            self.asked_for.add(path)
            if len(self.asked_for) >= 3:
                self.three.set()
            assert self.three.wait(60)
        return super().__call__(request)


@pytest.mark.slow
def test_studies_do_not_wait_for_each_others_lists(archive: Archive, settings: Settings):
    studies = [ct_series(2) for _ in range(6)]
    with client_of(_Together([one for made in studies for one in made]), settings) as client:
        report = ended(pull(client, archive, [Resource(made[0].study) for made in studies], settings))
    assert counts(report) == (12, 12, 0, 0, 0)


@pytest.mark.parametrize("level", ["series", "instances"])
def test_a_list_with_an_unusable_uid_is_the_servers_fault(archive: Archive, settings: Settings, level: str):
    made = ct_series(3)
    server = Awkward(made, leaves_out=frozenset({made[2].instance}))
    tag = {"series": "0020000E", "instances": "00080018"}[level]

    def names_a_path(request: Request) -> Answer | None:
        answer = server(request)
        if urlsplit(request.path).path.endswith(level):
            found = json.loads(answer.body)
            for row in found[:1]:
                row[tag]["Value"] = ["../../../etc/passwd"]
            return rows(found)
        return answer

    with client_of(names_a_path, settings) as client:
        report = ended(pull(client, archive, [Resource(made[0].study)], settings))
    assert not report.complete
    assert report.received == (0 if level == "series" else 3)
    assert "'../../../etc/passwd' cannot be used as a DICOM UID" in report.missing[0].reason


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


# ---- UIDs that are none


class OddServer(Awkward):
    """Fake, because no real server lets itself be filled so: it lists any text as a UID."""

    def retrieve(self, place: Resource, accept: str) -> Answer:
        found = [one for one in self.instances if one.study == place.study]
        if place.series is not None:
            found = [one for one in found if one.series == place.series]
        if place.instance is not None:
            found = [one for one in found if one.instance == place.instance]
        return multipart(one.data for one in found) if found else refused(404)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["series", "instance"])
@pytest.mark.parametrize("streams", [True, False], ids=["streams", "one by one"])
@pytest.mark.parametrize(
    ("uid", "comes"),
    [
        ("1.2." + "9" * 66, True),  # longer than 64 characters: a rule for writers
        ("1.2.840 odd*{}:", True),
        ("1.2/3", False),
        ("1.2." + "9" * 300, False),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_one_odd_uid_stops_nothing(
    uid: str, comes: bool, level: str, streams: bool, archive: Archive, settings: Settings
):
    """The others come; so does the odd one where an address can hold it, else it is named as missing."""
    study = generate_uid()
    plain = [[changed(one, StudyInstanceUID=study) for one in ct_series(2)] for _ in range(3)]
    keyword = "SeriesInstanceUID" if level == "series" else "SOPInstanceUID"
    odd = [changed(ct_series(1)[0], StudyInstanceUID=study, **{keyword: uid})]
    if level == "instance":
        odd = [changed(one, SeriesInstanceUID=plain[1][0].series) for one in odd]
    server = OddServer([*plain[0], *odd, *plain[1], *plain[2]])
    with client_of(server, settings, retrieve_level="study" if streams else "instance") as client:
        report = ended(pull(client, archive, [Resource(study)], settings))
    assert originals(*plain).items() <= kept(archive, Resource(study)).items()
    assert report.received == (7 if comes else 6)
    assert report.complete is comes
    if not comes:
        assert any("cannot be used" in failure.reason for failure in report.missing)


@pytest.mark.slow
@pytest.mark.parametrize("odd", [1, 30])
def test_bytes_behind_a_data_set_are_stored_and_reported(archive: Archive, settings: Settings, odd: int):
    """A real server sent stale memory behind its parts: nothing is lost, and nothing is hidden."""
    made = ct_series(odd + 1)
    sent = [replace(one, data=one.data + b"stale memory, 25 bytes...") for one in made[:odd]]
    with client_of(Awkward([*sent, made[-1]]), settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert report.complete
    assert kept(archive, series_of(made)) == originals(sent, made[-1:])
    told = [warning for warning in report.warnings if "25 bytes follow its data set" in warning]
    assert len(told) == min(odd, 20)
    assert all(any(str(one.resource) in warning for one in sent) for warning in told)
    assert any("10 more" in warning for warning in report.warnings) == (odd == 30)


@pytest.mark.slow
def test_a_server_that_writes_no_closing_delimiter_gives_all_it_has(archive: Archive, settings: Settings):
    """Its answers are as long as HTTP says, and the last instance of each is whole by its own lengths."""
    made = ct_series(3)

    class Unclosed(Awkward):
        def retrieve(self, place: Resource, accept: str) -> Answer:
            answer = super().retrieve(place, accept)
            return replace(answer, body=answer.body.removesuffix(b"\r\n--xx--\r\n"))

    with client_of(Unclosed(made), settings) as client:
        report = ended(pull(client, archive, [Resource(made[0].study)], settings))
    assert report.complete
    assert kept(archive, Resource(made[0].study)) == originals(made)
