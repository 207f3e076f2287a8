"""What a plain pull survives does not fail a cohort, and what fails is a sentence."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager

import pytest

from dicomdock import Archive, connect
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.makers import from_search
from dicomdock.cohort.table import Item
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import NotFound
from dicomdock.sources import Part
from tests.builders import Made, changed, ct_series
from tests.dicomweb.awkward import Awkward, refused, rows
from tests.servers.canned import Answer, Request, answering
from tests.transfer.conftest import ended

MADE = ct_series(2)
STUDY = {"StudyInstanceUID": MADE[0].study}
SERIES = Resource(MADE[0].study, MADE[0].series)
pytestmark = pytest.mark.usefixtures("quick_retries")


@contextmanager
def known(server: Callable[[Request], Answer | None], settings: Settings):
    with answering(server) as canned:
        load_profiles(settings).with_profile(ServerProfile("odd", canned.url)).save(settings)
        with connect("odd", settings) as client:
            yield client


@pytest.mark.slow
def test_a_series_that_cannot_be_proved_complete_is_named_and_not_pulled_again(settings: Settings):
    server = Awkward(MADE, lists=("studies", "studies/series"))
    with known(server, settings) as client, Archive.open(settings) as archive:
        made = from_search(client, "odd", STUDY, "studies")
        Cohorts(settings).save("c", made.items.values(), {})
        report = ended(archive.cohort("c").pulling())
        assert not report.complete
        assert (report.count("unproven"), report.count("done")) == (1, 0)
        assert len(archive.instances(SERIES)) == 2
        (remark,) = report.to_json()["remarks"]
        assert remark["resource"] == str(SERIES)
        assert "cannot be proved complete" in remark["reason"]
        again = ended(archive.cohort("c").pulling())
        assert (again.now, again.complete) == (0, False)  # it is not pulled again and again
        assert not archive.cohort("c").incomplete()


@pytest.mark.slow
def test_a_list_that_a_busy_server_fails_to_give_is_asked_for_again(settings: Settings):
    """A gateway that answers 503 once is not a server that lists nothing: the series may have been cut."""
    server = Awkward(MADE, leaves_out=frozenset({MADE[1].instance}))
    busy = True

    def sometimes(request: Request) -> Answer:
        path = request.path.partition("?")[0]
        lists = path.endswith(("/instances", "/metadata")) or (path.endswith("/series") and pulling)
        return refused(503) if busy and lists else server(request)

    pulling = False
    with known(sometimes, settings) as client, Archive.open(settings) as archive:
        Cohorts(settings).save("c", from_search(client, "odd", STUDY, "studies").items.values(), {})
        pulling = True
        report = ended(archive.cohort("c").pulling())
        assert (report.count("failed"), report.now) == (1, 1)
        (failure,) = report.to_json()["failures"]
        assert "cannot be proved complete" in failure["reason"]
        assert "503" in failure["reason"]
        busy = False
        again = ended(archive.cohort("c").pulling())
        assert (again.count("done"), again.complete) == (1, True)
        assert len(archive.instances(SERIES)) == 2


@pytest.mark.slow
def test_what_a_server_says_of_each_instance_that_it_stored_is_reported(settings: Settings):
    made = ct_series(4)

    def answer(stored: list[Made]) -> Answer:
        reasons = dict(zip([one.instance for one in made], (45056, 45056, 45062, 0), strict=True))
        items = [
            {
                "00081155": {"vr": "UI", "Value": [one.instance]},
                **({"00081196": {"vr": "US", "Value": [code]}} if (code := reasons[one.instance]) else {}),
            }
            for one in stored
        ]
        return rows([{"00081199": {"vr": "SQ", "Value": items}}], status=202)

    with known(Awkward(stores=answer), settings) as client, Archive.open(settings) as archive:
        with archive.local.writer() as writer:
            for one in made:
                writer.add(Part("application/dicom", lambda data=one.data: iter((data,))))
        series = Resource(made[0].study, made[0].series)
        Cohorts(settings).save("c", [Item(series)], {})
        report = ended(archive.cohort("c").pushing(client))
        assert report.complete
        (remark,) = report.to_json()["remarks"]
    first, second, third, fourth = (one.instance for one in made)
    changed_values = "some of its values were changed to fit the server"
    assert f"{first}, {second}: warning; {changed_values}." in remark["reason"]
    assert f"{third}: warning; some of its elements were left out." in remark["reason"]
    assert fourth not in remark["reason"]


@pytest.mark.parametrize("again", ["1", ""])
def test_a_server_that_is_busy_for_a_while_costs_no_series_and_no_proof(
    settings: Settings, again: str, monkeypatch: pytest.MonkeyPatch
):
    """Fake: 503 more often than tries. A time to come back is kept; else the next pull goes on."""
    monkeypatch.setattr("dicomdock.web.transport.Http._pause", lambda *_: None)
    monkeypatch.setattr("dicomdock.web.hold.Hold.seconds", 0.0)
    real, refusals = Awkward(MADE), [Answer(503, b"", {"Retry-After": again} if again else {})] * 15
    assert len(refusals) > 2 * settings.retries

    def server(request: Request) -> Answer:
        return refusals.pop() if "/instances" in request.path and refusals else real(request)

    with known(server, settings), Archive.open(settings) as archive:
        Cohorts(settings).save("c", [Item(SERIES, "odd")], {})
        report = ended(archive.cohort("c").pulling())
        if not again:
            (outcome,) = report.outcomes
            assert (outcome.state, "503" in outcome.reason) == ("failed", True)
            refusals.clear()
            report = ended(archive.cohort("c").pulling())
        assert (report.complete, refusals) == (True, [])
        assert report.to_json()["remarks"] == []
        assert len(archive.instances(SERIES)) == 2


@pytest.mark.parametrize("lists", [("studies/series", "studies/series/instances"), ("series", "instances")])
def test_a_study_is_found_by_its_uid_where_studies_are_not_listed(settings: Settings, lists: tuple[str, ...]):
    with known(Awkward(MADE, lists=lists), settings) as client:
        assert [*from_search(client, "odd", STUDY, "studies").items] == [SERIES]


def test_a_study_whose_series_cannot_be_listed_costs_no_other(settings: Settings):
    other: list[Made] = [changed(one, StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1") for one in MADE]
    server = Awkward([*MADE, *other])

    def failing(request: Request) -> Answer:
        path = request.path.partition("?")[0]
        return refused(501) if "/1.2.9/" in path or path in ("/series", "/instances") else server(request)

    with known(failing, settings) as client:
        made = from_search(client, "odd", {}, "studies")
        assert [*made.items] == [SERIES]
        (problem,) = made.problems
        assert "1.2.9" in problem
        with pytest.raises(NotFound, match=r"nothing that matches StudyInstanceUID=1\.2\.9\. .*1\.2\.9"):
            from_search(client, "odd", {"StudyInstanceUID": "1.2.9"}, "studies")
