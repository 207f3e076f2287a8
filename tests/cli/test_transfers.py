"""Transfers from the command line: what is partly done is said, and taken up again."""

from __future__ import annotations

import _thread
import json
import re
import urllib.request

import pytest
from tests.builders import changed, ct_series, document, write
from tests.servers.canned import Answer, Request, answering

pytestmark = pytest.mark.usefixtures("quick_retries")

DICOM_JSON = {"Content-Type": "application/dicom+json"}


@pytest.fixture
def leaky():
    """Yield a server of a series of three of which it gives two, until it is mended."""
    made = ct_series(3)
    lost = {made[1].instance}

    def reply(request: Request) -> Answer:
        path = request.path.partition("?")[0]
        if "/metadata" in path or path.endswith(("/studies", "/series", "/instances")):
            rows = made if path.endswith("/instances") or "/metadata" in path else made[:1]
            return Answer(
                body=json.dumps([one.dataset.to_json_dict() for one in rows]).encode(), headers=DICOM_JSON
            )
        if not re.search(r"/studies/[^/]+", path):
            return Answer(404)
        parts = [one for one in made if one.instance not in lost]
        if "/instances/" in path:
            parts = [one for one in parts if one.instance in path]
        if not parts:
            return Answer(404)
        body = b"".join(
            b"--B\r\nContent-Type: application/dicom\r\n\r\n" + one.data + b"\r\n" for one in parts
        )
        kind = 'multipart/related; type="application/dicom"; boundary=B'
        return Answer(body=body + b"--B--\r\n", headers={"Content-Type": kind})

    with answering(reply) as server:
        yield server, made, lost


@pytest.mark.slow
def test_a_pull_that_is_not_whole_names_what_is_missing_and_goes_on_later(run, leaky):
    server, made, lost = leaky
    run("server", "add", "leaky", f"{server.url}/dicom-web")
    pulled = run("pull", made[0].study, "--json")
    assert pulled.code == 3, pulled.err
    assert pulled.json["complete"] is False
    assert pulled.json["instances"]["missing"] == [made[1].instance]
    assert "transfers resume 1" in pulled.err

    (transfer,) = run("transfers", "list", "--json").json["transfers"]
    assert (transfer["id"], transfer["kind"], transfer["state"]) == (1, "pull", "partly")
    lost.clear()
    resumed = run("transfers", "resume", "1", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["instances"]["received"] == 1
    assert resumed.json["instances"]["skipped"] == 2
    assert run("transfers", "resume", "1").code == 0  # nothing is left to do
    assert "done" in run("transfers").out


@pytest.mark.slow
def test_an_interrupt_is_reported_with_the_way_to_go_on(run, leaky):
    _, made, _ = leaky

    def interrupted(request: Request) -> Answer | None:
        if request.path.endswith(made[0].series):
            _thread.interrupt_main()  # as Ctrl-C does
            return None
        return Answer(body=json.dumps([made[0].dataset.to_json_dict()]).encode(), headers=DICOM_JSON)

    with answering(interrupted) as silent:
        run("server", "add", "silent", f"{silent.url}/dicom-web")
        pulled = run("pull", made[0].study, "--json")
    assert pulled.code == 130
    assert pulled.json["error"]["kind"] == "Cancelled"
    assert "transfers resume 1" in pulled.err
    assert run("transfers", "--json").json["transfers"][0]["state"] == "cancelled"


@pytest.mark.slow
def test_one_unknown_study_of_two_is_named(run, leaky):
    server, made, lost = leaky
    lost.clear()

    def knows_one(request: Request) -> Answer | None:
        with urllib.request.urlopen(server.url + request.path) as answer:
            body, label = answer.read(), answer.headers["Content-Type"]
        return (
            Answer(body=b"[]", headers=DICOM_JSON)
            if "/1.2.3/" in request.path
            else Answer(body=body, headers={"Content-Type": label})
        )

    with answering(knows_one) as picky:
        run("server", "add", "picky", f"{picky.url}/dicom-web")
        pulled = run("pull", "1.2.3", made[0].study)
    assert pulled.code == 3, pulled.err
    assert "3 instances" in pulled.out
    assert "picky has no study 1.2.3." in pulled.err.splitlines()


def test_every_pushed_instance_gets_an_answer(run, hospital, tmp_path):
    made = ct_series(2)
    hospital.add(made[0].data)
    files = write(tmp_path / "some", [*made, document()])
    pushed = run("push", *files, "--json")
    assert pushed.code == 0, pushed.err
    statuses = {row["sop_instance_uid"]: row["status"] for row in pushed.json["results"]}
    assert statuses[made[0].instance] == "duplicate"
    assert statuses[made[1].instance] == "stored"
    assert pushed.json["instances"] == {"sent": 2, "stored": 2, "duplicate": 1, "failed": 0, "unconfirmed": 0}

    refused = run(
        "push",
        *write(tmp_path / "again", [changed(made[0], PatientID="X")]),
        "--on-duplicate",
        "fail",
        "--json",
    )
    assert refused.code == 1
    assert refused.json["results"][0]["status"] == "failed"
    assert refused.json["complete"] is False


def test_a_folder_of_which_not_every_file_could_be_sent_ends_with_3(run, hospital, tmp_path):
    """Of files under one UID one was sent, and those without UIDs vanished: 'Complete', exit code 0."""
    one = ct_series(1)[0]
    folder = tmp_path / "folder"
    write(folder / "a", [one])
    write(folder / "b", [changed(one, PatientComments="other bytes")])
    (folder / "nameless.dcm").write_bytes(changed(one, StudyInstanceUID="").data)
    for command in (["push", folder], ["transfers", "resume", "1"]):  # a second look finds the same
        pushed = run(*command)
        assert pushed.code == 3 if command[0] == "push" else pushed.code != 0
        assert "Complete" not in pushed.out
        assert "nameless.dcm was not sent: It has no usable" in pushed.err
        assert "has the same UIDs and other bytes" in pushed.err
        assert "tries the rest again" not in pushed.err  # it would not help
        assert "cannot be sent as it is" in pushed.err
    assert run("--json", "push", folder).json["instances"]["failed"] == 2


def test_a_transfer_that_is_not_there(run):
    assert "There are no transfers" in run("transfers").out
    assert run("transfers", "resume", "7").code == 2
    assert run("transfers", "cancel", "7").code == 2
