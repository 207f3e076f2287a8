"""A pull brings everything, proves it, and never takes a part for the whole."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dicomdock.archive import Archive
from dicomdock.archive.writer import ArchiveWriter
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.sources import Part
from dicomdock.transfer.pull import pull
from tests.builders import changed, ct_series
from tests.conftest import shared_data
from tests.dicomweb.awkward import Awkward, encoded, refused
from tests.dicomweb.clients import client_of, orthanc_client
from tests.servers.canned import Answer, Request
from tests.servers.orthanc import Orthanc
from tests.transfer.conftest import ended
from tests.transfer.pulling import archived, counts, kept, originals, part_of, retrievals, series_of

pytestmark = pytest.mark.usefixtures("quick_retries")


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
        writer.add(part_of(mine[1]))
    with client_of(Awkward(theirs), settings) as client:
        plain = ended(pull(client, archive, [series_of(mine)], settings))
        assert counts(plain) == (2, 1, 1, 0, 0)
        assert kept(archive, series_of(mine)) == originals(mine)
        replaced = ended(pull(client, archive, [series_of(mine)], settings, replace=True))
    assert replaced.received == 2
    assert kept(archive, series_of(mine)) == originals(theirs)


def test_what_is_named_twice_is_fetched_and_counted_once(archive: Archive, settings: Settings):
    made = ct_series(3)
    server = Awkward(made)
    named = [made[0].resource, series_of(made), Resource(made[0].study)]
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, named, settings))
    assert counts(report) == (3, 3, 0, 0, 0)
    fetched = [request.path for request in server.asked if "multipart" in request.headers.get("Accept", "")]
    assert len(fetched) == 1


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
