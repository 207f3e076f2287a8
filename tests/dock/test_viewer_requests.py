"""What viewers ask of their dock: where they can send, what servers answer, and images that are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from dicomdock.archive import Archive
from dicomdock.config.servers import Login, ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_actions import targets
from dicomdock.dock.service import LOCAL, Dock
from dicomdock.dock.services.studies import Listing
from dicomdock.dock.services.viewer_requests import DockErrands, Errands
from dicomdock.launch.trust import TrustStore
from dicomdock.sources import Part
from tests.builders import Made, ct_series
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


def ask(errands: Errands, study: str, what: str, **facts: Any) -> Mapping[str, Any]:
    return errands.run(study, {"what": what, **facts}, lambda _: None)


def send(settings: Settings, made: list[Made], server: str) -> Mapping[str, Any]:
    return ask(Errands(settings), made[0].study, "send", server=server, series=[made[0].series])


@pytest.fixture
def made(settings: Settings) -> list[Made]:
    """Three instances that were made here."""
    instances = ct_series(3)
    keep(settings, instances, made_here=True)
    return instances


def test_only_what_was_made_here_is_sent_and_each_instance_is_answered(
    settings: Settings, made: list[Made], orthanc: Orthanc
) -> None:
    load_profiles(settings).with_profile(
        ServerProfile("orthanc", orthanc.url, Login("basic", user=orthanc.user))
    ).save(settings)
    from dicomdock.config.secrets import Secrets

    Secrets(settings).set("orthanc", load_profiles(settings).get("orthanc").origin, orthanc.password)
    others = ct_series(2)
    keep(settings, others)
    said = ask(
        Errands(settings), made[0].study, "send", server="orthanc", series=[made[0].series, others[0].series]
    )
    assert {one["uid"]: one["status"] for one in said["results"]} == {one.instance: "stored" for one in made}
    assert orthanc.instance_count() == 3
    with Archive.open(settings) as archive:
        assert all(one.sent == ("orthanc",) for one in archive.instances(Resource(made[0].study)))
    assert {one["status"] for one in send(settings, made, "orthanc")["results"]} == {"duplicate"}


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


def test_a_full_server_is_told_in_words_and_what_it_took_is_not_sent_again(
    settings: Settings, made: list[Made]
) -> None:
    def reply(request: Request) -> Answer:
        return failing(made, 202, 0xA700) if request.method == "POST" else Answer(200, b"[]", JSON)

    with answering(reply) as server:
        know(settings, "small", server.url)
        results = {one["uid"]: one for one in send(settings, made, "small")["results"]}
    assert results[made[0].instance]["status"] == "stored"
    for one in made[1:]:
        answer = results[one.instance]
        assert (answer["status"], answer["code"]) == ("failed", 0xA700)
        assert "no room left" in answer["reason"]
    with Archive.open(settings) as archive:
        sent = {one.resource.instance for one in archive.instances(Resource(made[0].study)) if one.sent}
    assert sent == {made[0].instance}


@pytest.mark.parametrize(("status", "words"), [(401, "login"), (403, "refused"), (400, "400")])
def test_a_refusal_is_told_in_words(settings: Settings, made: list[Made], status: int, words: str) -> None:
    def reply(request: Request) -> Answer:
        return Answer(status, b"no") if request.method == "POST" else Answer(200, b"[]", JSON)

    with answering(reply) as server:
        know(settings, "strict", server.url)
        said = send(settings, made, "strict")
    told = said.get("error") or said["problem"] + " ".join(one["reason"] for one in said["results"])
    assert words in told
    assert "results" not in said or {one["status"] for one in said["results"]} <= {"failed", "unsent"}


def test_a_server_that_is_away_is_told_in_words(settings: Settings, made: list[Made]) -> None:
    with answering(lambda _: Answer()) as server:
        know(settings, "away", server.url)
    said = send(settings, made, "away")
    told = said.get("error") or said["problem"] + " ".join(one["reason"] for one in said["results"])
    assert "refused the connection" in told


def test_no_server_of_that_name(settings: Settings, made: list[Made]) -> None:
    assert "nowhere" in send(settings, made, "nowhere")["error"]


def test_the_usual_place_is_where_the_images_came_from(settings: Settings) -> None:
    for name in ("first", "second"):
        know(settings, name, f"https://{name}.test/dicom-web")
    errands = Errands(settings)
    assert ask(errands, "1.2", "servers", origin="second")["usual"] == "second"
    assert ask(errands, "1.2", "servers", origin="second (link 1)")["usual"] == "second"
    unknown = ask(errands, "1.2", "servers", origin="pacs.test")
    assert unknown["usual"] == "first"
    assert "no login now" in unknown["remark"]
    assert ask(errands, "1.2", "servers", origin="")["remark"] == ""


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
        dock = Dock(settings, port=1)
        try:
            endpoint = quote(server.url, safe="")
            study = made[0].study
            dock.links.receive(
                f"slicer://viewer/?studyUID={study}&access_token={TOKEN}&dicomweb_endpoint={endpoint}"
            )
            name = server.url.removeprefix("http://")
            errands = DockErrands(dock)
            choice = ask(errands, study, "servers", origin=name)
            assert choice == {"servers": [name, "mine"], "usual": name, "remark": ""}
            said = ask(errands, study, "send", server=name, series=[made[0].series])
            keep(settings, ct_series(1, StudyInstanceUID=study), origin=name)
            listing = Listing(dock, {"StudyInstanceUID": study}, [LOCAL])
            listing.take(listing.streams[0])
            assert targets(dock, Selection(listing.found)) == (name, "mine")
        finally:
            dock.close()
    assert {one["status"] for one in said["results"]} == {"stored"}
    posts = [one for one in server.asked if one.method == "POST"]
    assert {one.headers["Authorization"] for one in posts} == {f"Bearer {TOKEN}"}
    assert TOKEN not in json.dumps([choice, said])
    kept = [file for file in settings.state.parent.rglob("*") if file.is_file()]
    assert not [file for file in kept if TOKEN.encode() in file.read_bytes()]


def test_what_goes_wrong_unexpectedly_is_answered_without_a_word_of_its_text(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Errands):
        def connect(self, name: str) -> Client:
            raise ValueError(f"Invalid header value b'Bearer {TOKEN}'")

    said = ask(Broken(settings), "1.2", "send", server="any", series=["1.2.3"])
    assert "unexpected" in said["error"]
    assert "ValueError" in caplog.text
    assert TOKEN not in caplog.text + said["error"]
