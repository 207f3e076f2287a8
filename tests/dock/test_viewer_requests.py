"""What viewers ask of their dock: where they can send, what servers answer, and images that are missing."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import pytest
from pydicom import dcmread

from dicomdock import rpc
from dicomdock.archive import Archive
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.dock.app import build
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_actions import targets
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.viewer_requests import StandaloneNetwork, ViewerRequests
from dicomdock.launch.trust import TrustStore
from dicomdock.sources import Part
from tests.builders import Made, changed, ct_series
from tests.servers.canned import Answer, Request, answering
from tests.servers.orthanc import Orthanc

JSON = {"Content-Type": "application/dicom+json"}
TOKEN = "sh4red-t0ken"


def keep(settings: Settings, instances: list[Made], *, origin: str = "", made_here: bool = False) -> None:
    with Archive.open(settings) as archive, archive.writer(origin=origin, made_here=made_here) as writer:
        for one in instances:
            writer.add(Part("application/dicom", lambda data=one.data: iter([data]), length=len(one.data)))


def know(settings: Settings, name: str, url: str) -> None:
    load_profiles(settings).with_profile(ServerProfile(name, url)).save(settings)


def log_in(settings: Settings, orthanc: Orthanc) -> None:
    """Make an Orthanc known as ``orthanc``, with its login."""
    profile = ServerProfile("orthanc", orthanc.url, Login("basic", user=orthanc.user))
    load_profiles(settings).with_profile(profile).save(settings)
    Secrets(settings).set("orthanc", profile.origin, orthanc.password)


def standalone(settings: Settings) -> ViewerRequests:
    return ViewerRequests(settings, StandaloneNetwork(settings))


def send(
    requests: ViewerRequests, made: list[Made], server: str, *others: str
) -> rpc.SendReply | rpc.ErrorReply:
    request = rpc.SendSeries(7, server, (made[0].series, *others))
    reply = requests.answer(made[0].study, request, lambda _: None)
    assert isinstance(reply, rpc.SendReply | rpc.ErrorReply)
    assert reply.request == 7
    return reply


def results(reply: rpc.SendReply | rpc.ErrorReply) -> dict[str, rpc.InstanceResult]:
    assert isinstance(reply, rpc.SendReply), reply
    return {one.instance: one for one in reply.results}


def sentence(reply: rpc.SendReply | rpc.ErrorReply) -> str:
    if isinstance(reply, rpc.ErrorReply):
        return reply.message
    return reply.problem + " ".join(one.reason for one in reply.results)


def servers(requests: ViewerRequests, origin: str) -> rpc.ServersReply:
    reply = requests.answer("1.2", rpc.ListServers(1, origin), lambda _: None)
    assert isinstance(reply, rpc.ServersReply)
    return reply


@pytest.fixture
def made(settings: Settings) -> list[Made]:
    """Three instances that were made here."""
    instances = ct_series(3)
    keep(settings, instances, made_here=True)
    return instances


def test_only_what_was_made_here_is_sent_and_each_instance_is_answered(
    settings: Settings, made: list[Made], orthanc: Orthanc
) -> None:
    log_in(settings, orthanc)
    others = ct_series(2)
    keep(settings, others)
    reply = send(standalone(settings), made, "orthanc", others[0].series)
    assert {uid: one.status for uid, one in results(reply).items()} == {
        one.instance: "stored" for one in made
    }
    assert orthanc.instance_count() == 3
    with Archive.open(settings) as archive:
        assert all(one.sent == ("orthanc",) for one in archive.instances(Resource(made[0].study)))
    again = send(standalone(settings), made, "orthanc")
    assert {one.status for one in results(again).values()} == {"duplicate"}


def test_de_identified_copies_are_sent_and_what_may_show_a_patient_is_held_back(
    settings: Settings, orthanc: Orthanc
) -> None:
    log_in(settings, orthanc)
    *plain, burned = ct_series(3, PatientName="Canary^Name", PatientID="CANARY-ID", BurnedInAnnotation="NO")
    burned = changed(burned, BurnedInAnnotation="YES")
    keep(settings, [*plain, burned], made_here=True)
    request = rpc.SendSeries(7, "orthanc", (burned.series,), "basic")
    reply = standalone(settings).answer(burned.study, request, lambda _: None)
    assert isinstance(reply, rpc.SendReply), reply
    answers = results(reply)
    assert [answers[one.instance].status for one in plain] == ["stored", "stored"]
    assert answers[burned.instance].status == "failed"
    assert "held back" in answers[burned.instance].reason
    there = json.loads(orthanc.rest("GET", "/instances"))
    assert len(there) == 2
    for one in there:
        received = orthanc.rest("GET", f"/instances/{one}/file")
        assert b"anary" not in received
        assert b"CANARY" not in received
        copy = dcmread(io.BytesIO(received))
        assert copy.SOPInstanceUID not in answers
    asked = rpc.PreviewCopies(9, (burned.series,), "basic")
    seen = standalone(settings).answer(burned.study, asked, lambda _: None)
    assert isinstance(seen, rpc.PreviewReply), seen
    assert f"Patient's Name: {copy.PatientName}; Patient ID: {copy.PatientID}" in seen.words
    assert "anary" not in seen.words.casefold()
    with Archive.open(settings) as archive:  # who has a copy does not have the instance
        assert all(one.sent == () for one in archive.instances(Resource(burned.study)))
    unknown = rpc.SendSeries(8, "orthanc", (burned.series,), "no such profile")
    assert isinstance(standalone(settings).answer(burned.study, unknown, lambda _: None), rpc.ErrorReply)


def test_prior_studies_of_the_same_patient_are_found_on_servers_and_downloaded(
    settings: Settings, orthanc: Orthanc
) -> None:
    log_in(settings, orthanc)
    with answering(lambda _: Answer()) as gone:
        know(settings, "away", gone.url)
    jane = {"PatientID": "4711", "PatientName": "Doe^Jane", "PatientBirthDate": "19700101"}
    shown = ct_series(2, StudyDate="20240101", **jane)
    older = ct_series(3, StudyDate="20190203", StudyDescription="Before", **jane)
    married = ct_series(1, StudyDate="20210203", **{**jane, "PatientName": "Roe^Jane"})
    other = ct_series(1, **{**jane, "PatientName": "Poe^Jim", "PatientBirthDate": "19800101"})
    nobody = ct_series(1, PatientID="", PatientName="Doe^Jane")
    orthanc.add(*(one.data for one in (*shown, *older, *married, *other)))
    keep(settings, shown)
    keep(settings, nobody)
    requests, uid = standalone(settings), shown[0].study

    def answer(request: rpc.Request, study: str = uid) -> rpc.Reply:
        return requests.answer(study, request, lambda _: None)

    unasked = answer(rpc.FetchPrior(1, older[0].study))
    assert isinstance(unasked, rpc.ErrorReply)
    found = answer(rpc.FindPriors(2))
    assert isinstance(found, rpc.PriorsReply), found
    assert found.studies == (
        rpc.PriorStudy(married[0].study, "orthanc", "20210203", "Head", ("CT",), 1),
        rpc.PriorStudy(older[0].study, "orthanc", "20190203", "Before", ("CT",), 3),
    )
    (problem,) = found.problems
    assert "refused the connection" in problem
    refused = answer(rpc.FetchPrior(3, other[0].study))
    assert isinstance(refused, rpc.ErrorReply)
    assert answer(rpc.FetchPrior(4, older[0].study)) == rpc.FetchReply(4, ("orthanc",))
    with Archive.open(settings) as archive:
        assert len(archive.instances(Resource(older[0].study))) == 3
        assert not archive.instances(Resource(other[0].study))
    left = answer(rpc.FindPriors(5))
    assert isinstance(left, rpc.PriorsReply)
    assert [one.study for one in left.studies] == [married[0].study]
    without = answer(rpc.FindPriors(6), nobody[0].study)
    assert isinstance(without, rpc.ErrorReply)
    assert "no Patient ID" in without.message


def failing(made: list[Made], status: int, code: int) -> Answer:
    """Answer a store: the first instance is taken, the others are not."""
    uids = [one.instance for one in made]
    taken = {"00081155": {"vr": "UI", "Value": [uids[0]]}}
    refused = [
        {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [code]}}
        for uid in uids[1:]
    ]
    body = {"00081199": {"vr": "SQ", "Value": [taken]}, "00081198": {"vr": "SQ", "Value": refused}}
    return Answer(status, json.dumps(body).encode(), JSON)


def test_a_full_server_is_reported_in_words_and_what_it_took_is_not_sent_again(
    settings: Settings, made: list[Made]
) -> None:
    def reply(request: Request) -> Answer:
        return failing(made, 202, 0xA700) if request.method == "POST" else Answer(200, b"[]", JSON)

    with answering(reply) as server:
        know(settings, "small", server.url)
        found = results(send(standalone(settings), made, "small"))
    assert found[made[0].instance].status == "stored"
    for one in made[1:]:
        answer = found[one.instance]
        assert (answer.status, answer.code) == ("failed", 0xA700)
        assert "no room left" in answer.reason
    with Archive.open(settings) as archive:
        sent = {one.resource.instance for one in archive.instances(Resource(made[0].study)) if one.sent}
    assert sent == {made[0].instance}


@pytest.mark.parametrize(("status", "words"), [(401, "login"), (403, "refused"), (400, "400")])
def test_a_refusal_is_reported_in_words(
    settings: Settings, made: list[Made], status: int, words: str
) -> None:
    def reply(request: Request) -> Answer:
        return Answer(status, b"no") if request.method == "POST" else Answer(200, b"[]", JSON)

    with answering(reply) as server:
        know(settings, "strict", server.url)
        reply = send(standalone(settings), made, "strict")
    assert words in sentence(reply)
    if isinstance(reply, rpc.SendReply):
        assert {one.status for one in reply.results} <= {"failed", "unsent"}


@pytest.mark.slow
def test_a_server_that_is_away_is_reported_in_words(settings: Settings, made: list[Made]) -> None:
    with answering(lambda _: Answer()) as server:
        know(settings, "away", server.url)
    assert "refused the connection" in sentence(send(standalone(settings), made, "away"))


def test_no_server_of_that_name(settings: Settings, made: list[Made]) -> None:
    reply = send(standalone(settings), made, "nowhere")
    assert isinstance(reply, rpc.ErrorReply)
    assert "nowhere" in reply.message


def test_the_usual_place_is_where_the_images_came_from(settings: Settings) -> None:
    for name in ("first", "second"):
        know(settings, name, f"https://{name}.test/dicom-web")
    requests = standalone(settings)
    assert servers(requests, "second").default == "second"
    assert servers(requests, "second (link 1)").default == "second"
    unknown = servers(requests, "pacs.test")
    assert unknown.default == "first"
    assert "no login now" in unknown.remark
    assert servers(requests, "").remark == ""


@pytest.mark.slow
def test_a_links_connection_can_be_sent_to_and_its_token_goes_nowhere_else(
    settings: Settings, made: list[Made]
) -> None:
    """The study came by a link: its server is offered first, and gets the link's token."""

    def reply(request: Request) -> Answer:
        if request.method != "POST":
            return Answer(200, b"[]", JSON)
        taken = [{"00081155": {"vr": "UI", "Value": [one.instance]}} for one in made]
        body = {"00081199": {"vr": "SQ", "Value": taken}}
        return Answer(200, json.dumps(body).encode(), JSON)

    with answering(reply) as server:
        TrustStore(settings).add(server.url)
        know(settings, "mine", "https://mine.test/dicom-web")
        dock = build(settings, port=1)
        services = dock.services
        try:
            endpoint = quote(server.url, safe="")
            study = made[0].study
            services.links.receive(
                f"slicer://viewer/?studyUID={study}&access_token={TOKEN}&dicomweb_endpoint={endpoint}"
            )
            name = server.url.removeprefix("http://")
            choice = servers(services.requests, name)
            assert (choice.servers, choice.default, choice.remark) == ((name, "mine"), name, "")
            reply = send(services.requests, made, name)
            keep(settings, ct_series(1, StudyInstanceUID=study), origin=name)
            found = services.finder.study(study, LOCAL)
            assert found is not None
            assert targets(ActionServices.of(services), Selection({study: found})) == (name, "mine")
        finally:
            dock.close()
    assert {one.status for one in results(reply).values()} == {"stored"}
    posts = [one for one in server.asked if one.method == "POST"]
    assert {one.headers["Authorization"] for one in posts} == {f"Bearer {TOKEN}"}
    assert TOKEN.encode() not in rpc.encode(choice) + rpc.encode(reply)
    kept = [file for file in settings.state.parent.rglob("*") if file.is_file()]
    assert not [file for file in kept if TOKEN.encode() in file.read_bytes()]


def test_what_goes_wrong_unexpectedly_is_answered_without_a_word_of_its_text(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(StandaloneNetwork):
        def connect(self, name: str) -> Client:
            raise ValueError(f"Invalid header value b'Bearer {TOKEN}'")

    request = rpc.SendSeries(1, "any", ("1.2.3",))
    reply = ViewerRequests(settings, Broken(settings)).answer("1.2", request, lambda _: None)
    assert isinstance(reply, rpc.ErrorReply)
    assert "unexpected" in reply.message
    assert "ValueError" in caplog.text
    assert TOKEN not in caplog.text + reply.message
