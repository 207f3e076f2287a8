"""A pull from servers that list little, or give whole studies alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from pydicom.uid import generate_uid

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NotFound, UnsupportedByServer
from dicomdock.transfer.pull import pull
from tests.builders import Made, changed, ct_series
from tests.dicomweb.awkward import Awkward, multipart, refused, rows
from tests.dicomweb.clients import client_of
from tests.servers.canned import Answer, Request
from tests.transfer.conftest import ended
from tests.transfer.pulling import archived, counts, kept, originals, part_of, requests_of, series_of

pytestmark = pytest.mark.usefixtures("quick_retries")


def test_a_server_that_lists_no_instances_is_streamed_again(archive: Archive, settings: Settings):
    made = ct_series(4)
    with archive.writer() as writer:
        writer.add(part_of(made[0]))
    server = Awkward(made, lists=("studies", "series", "studies/series"))
    with client_of(server, settings) as client:
        report = ended(pull(client, archive, [series_of(made)], settings))
    assert kept(archive, series_of(made)) == originals(made)
    assert counts(report) == (4, 3, 1, 0, 0)
    assert not report.complete  # it cannot be proved
    assert report.warnings


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
