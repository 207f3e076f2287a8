"""UPS-RS by HTTP: the walk of a work item, every refusal, and whom the work list is not open to."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import pytest
import urllib3
from pydicom.dataset import Dataset
from starlette.requests import Request

from dicomdock.dicom.resource import Resource
from dicomdock.errors import Forbidden
from dicomdock.origin import worklist
from dicomdock.origin.context import Origin
from dicomdock.origin.deidentified import DeidentifiedArchive
from dicomdock.worklist.store import MAX_STEP
from tests.conftest import unavailable
from tests.deidentify.conftest import deidentifier
from tests.origin.running import Running, serving
from tests.worklist.test_procedure_step import FINISHED, SCHEDULED

SECRET, OTHER = "2.25.314159265358979", "2.25.271828182845904"
DICOM_JSON = "application/dicom+json"
ITEMS = "/dicom-web/workitems"


def _state(state: str, transaction_uid: str = SECRET) -> Mapping[str, object]:
    uid = {"00081195": {"vr": "UI", "Value": [transaction_uid]}} if transaction_uid else {}
    return {"00741000": {"vr": "CS", "Value": [state]}, **uid}


def _send(
    server: Running, path: str, data_set: object = None, method: str = "POST", kind: str = DICOM_JSON
) -> urllib3.BaseHTTPResponse:
    body = b"" if data_set is None else data_set if isinstance(data_set, bytes) else json.dumps([data_set])
    return server.ask(ITEMS + path, method=method, body=body, headers={"Content-Type": kind})


def _created(server: Running, uid: str) -> str:
    assert _send(server, f"?workitem={uid}", SCHEDULED).status == 201
    return f"/{uid}"


@pytest.mark.slow
def test_curl_creates_claims_updates_and_completes_a_work_item(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    curl = shutil.which("curl") or unavailable("curl", "apt install curl")
    answers: list[str] = []

    def ask(path: str, data_set: object = None, method: str = "GET") -> tuple[int, str]:
        command = [curl, "-sS", "-i", "-g", "-X", method, server.root + ITEMS + path]
        if data_set is not None:
            command += ["-H", f"Content-Type: {DICOM_JSON}", "--data-binary", "@-"]
        body = None if data_set is None else json.dumps(data_set).encode()
        done = subprocess.run(command, input=body, capture_output=True, timeout=120, check=True)
        answers.append(done.stdout.decode())
        return int(answers[-1].split()[1]), answers[-1]

    with caplog.at_level(logging.DEBUG):
        status, created = ask("?1.2.840.1", [SCHEDULED], "POST")
        assert status == 201
        assert created.lower().count(f"location: {server.url}/workitems/1.2.840.1\r\n") == 2
        assert "content-location" in created.lower()
        assert "warning" not in created.lower()
        assert ask("/1.2.840.1/state", _state("IN PROGRESS"), "PUT")[0] == 200
        status, refused = ask("/1.2.840.1/state", _state("IN PROGRESS", OTHER), "PUT")
        assert (status, "The Transaction UID is incorrect." in refused) == (400, True)
        assert ask(f"/1.2.840.1?{OTHER}", FINISHED, "POST")[0] == 400
        status, refused = ask("/1.2.840.1/state", _state("COMPLETED"), "PUT")
        assert (status, "UnifiedProcedureStepPerformedProcedureSequence" in refused) == (409, True)
        assert ask(f"/1.2.840.1?{SECRET}", FINISHED, "POST")[0] == 200
        claimed = {**FINISHED, "00081195": {"vr": "UI", "Value": [SECRET]}}
        assert ask("/1.2.840.1", claimed, "POST")[0] == 200  # as PS3.4 has it: within the data set
        assert ask(f"/1.2.840.1?transaction-uid={SECRET}", FINISHED, "POST")[0] == 200
        assert ask(f"/1.2.840.1?transaction-uid={SECRET}", FINISHED, "PUT")[0] == 200  # dicom-ups-rs-client
        assert ask("/1.2.840.1/state", _state("COMPLETED"), "PUT")[0] == 200
        status, again = ask("/1.2.840.1/state", _state("COMPLETED"), "PUT")
        assert (status, worklist.REMARKS["B306"] in again) == (200, True)  # type: ignore[index]
        assert ask(f"/1.2.840.1?{SECRET}", FINISHED, "POST")[0] == 400
        status, found = ask("?ProcedureStepState=COMPLETED&includefield=all")
    assert status == 200
    (item,) = json.loads(found.partition("\r\n\r\n")[2])
    read = Dataset.from_json(item)  # another reader of DICOM JSON
    assert (read.SOPInstanceUID, read.ProcedureStepState) == ("1.2.840.1", "COMPLETED")
    assert read.ProcedureStepLabel == "segment the liver"
    assert len(read.UnifiedProcedureStepPerformedProcedureSequence) == 1
    assert SECRET not in "".join(answers)
    assert SECRET not in caplog.text


def test_a_work_item_goes_out_as_json_or_xml_and_is_found_or_not(server: Running) -> None:
    path = _created(server, "1.2.840.2")
    answer = server.ask(ITEMS + path)
    assert answer.headers["content-type"] == DICOM_JSON
    assert json.loads(answer.data)[0]["00741204"] == SCHEDULED["00741204"]
    answer = server.ask(ITEMS + path, accept="application/dicom+xml")
    label = ET.fromstring(answer.data).find("{*}DicomAttribute[@tag='00741204']/{*}Value")
    assert label is not None and label.text == "segment the liver"
    assert server.ask(ITEMS + path, accept="image/png").status == 406
    assert server.ask(f"{ITEMS}?SOPInstanceUID=1.2.840.2&limit=1").status == 200
    nothing = server.ask(f"{ITEMS}?SOPInstanceUID=1.2.840.2&offset=1")
    for asked, tags in (
        ("", {"00080016", "00741000", "00741002", "00741204"}),
        ("&includefield=00741216", {"00741216", "00741204"}),
        ("&ScheduledProcedureStepModificationDateTime=", {"00404010", "00741204"}),
        ("&includefield=all", {"00741216", "00404010", "00741204"}),
    ):
        (match,) = json.loads(server.ask(f"{ITEMS}?SOPInstanceUID=1.2.840.2{asked}").data)
        assert tags <= match.keys()
        assert asked or not {"00741216", "00404010"} & match.keys()
    assert (nothing.status, nothing.data) == (204, b"")
    assert "sorted" in server.ask(f"{ITEMS}?orderby=PatientName").headers["warning"]
    assert server.ask(f"{ITEMS}?limit=many").status == 400
    assert server.ask(f"{ITEMS}?NoSuchAttribute=1").status == 400


def test_a_creation_is_refused_for_what_is_wrong_with_it(server: Running) -> None:
    _created(server, "1.2.840.3")
    assert _send(server, "?workitem=1.2.840.3", SCHEDULED).status == 409
    assert _send(server, "", SCHEDULED).status == 400
    named = {**SCHEDULED, "00080018": {"vr": "UI", "Value": ["1.2.840.4"]}}
    assert _send(server, "", named).headers["location"] == f"{server.url}/workitems/1.2.840.4"
    pull = {**SCHEDULED, "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.3"]}}
    assert worklist.CREATED_MODIFIED in _send(server, "?1.2.840.5", pull).headers["warning"]
    for wrong in (
        b"",
        b"<xml/>",
        {},
        {**SCHEDULED, **_state("IN PROGRESS", "")},
        {**SCHEDULED, **_state("SCHEDULED")},
        {**SCHEDULED, "00741000": {"vr": "CS", "Value": ["SCHEDULED", "SCHEDULED"]}},
    ):
        refused = _send(server, "?1.2.840.6", wrong)
        assert refused.status == 400
        assert SECRET.encode() not in refused.data
    assert _send(server, "?1.2.840.6", SCHEDULED, kind="application/dicom+xml").status == 415
    encoded = {"Content-Type": DICOM_JSON, "Content-Encoding": "gzip"}
    assert server.ask(f"{ITEMS}?1.2.840.6", method="POST", body=b"{}", headers=encoded).status == 415
    assert _send(server, "?1.2.840.6", b" " * 3 * MAX_STEP).status == 413
    assert server.ask(f"{ITEMS}/1.2.840.6").status == 404


def test_a_state_is_refused_by_the_code_of_the_standard(server: Running) -> None:
    path = _created(server, "1.2.840.7")

    def changed(state: str, uid: str = SECRET) -> tuple[int, str]:
        answer = _send(server, f"{path}/state", _state(state, uid), "PUT")
        return answer.status, answer.headers.get("warning", "").partition('"')[2].rstrip('"')

    assert changed("COMPLETED") == (409, worklist.INCONSISTENT_STATE)
    assert changed("SCHEDULED") == (400, worklist.INCONSISTENT_STATE)
    assert changed("IN PROGRESS", "") == (400, worklist.UID_MISSING)
    assert changed("FINISHED")[0] == 400
    assert changed("IN PROGRESS", "no uid " + SECRET)[0] == 400
    several = {**_state("IN PROGRESS"), "00741000": {"vr": "CS", "Value": ["IN PROGRESS", "COMPLETED"]}}
    assert _send(server, f"{path}/state", several, "PUT").status == 400
    claimed_too_early = _send(server, f"{path}?{SECRET}", FINISHED)
    assert (claimed_too_early.status, worklist.NOT_CLAIMED in claimed_too_early.headers["warning"]) == (
        400,
        True,
    )
    assert changed("IN PROGRESS")[0] == 200
    assert changed("IN PROGRESS") == (409, worklist.INCONSISTENT_STATE)
    refused = _send(server, f"{path}/cancelrequest")
    assert (refused.status, "The performer cannot be contacted." in refused.headers["warning"]) == (409, True)
    assert _send(server, f"{path}?{SECRET}", FINISHED).status == 200
    assert changed("CANCELED") == (200, "")
    assert changed("CANCELED") == (200, worklist.REMARKS["B304"])  # type: ignore[index]
    assert changed("COMPLETED") == (409, worklist.INCONSISTENT_STATE)
    assert _send(server, "/1.2.840.99/state", _state("IN PROGRESS"), "PUT").status == 404


def test_a_work_item_that_nobody_claimed_is_canceled_with_the_reason(server: Running) -> None:
    path = _created(server, "1.2.840.8")
    reason = {"00741238": {"vr": "LT", "Value": ["a duplicate"]}}
    assert _send(server, f"{path}/cancelrequest", reason).status == 202
    again = server.ask(f"{ITEMS}{path}/cancelrequest", method="POST")  # whose body is optional
    assert (again.status, worklist.REMARKS["B304"] in again.headers["warning"]) == (202, True)  # type: ignore[index]
    (item,) = json.loads(server.ask(ITEMS + path).data)
    assert item["00741000"]["Value"] == ["CANCELED"]
    assert item["00741002"]["Value"][0]["00741238"] == reason["00741238"]


def test_an_abandoned_claim_is_reported_to_both_sides(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _created(server, "1.2.840.10")
    monkeypatch.setattr(server.archive, "worklist_deadline", 7200.0)
    claimed = _send(server, f"{path}/state", _state("IN PROGRESS"), "PUT")
    assert (claimed.status, "for 2 hours is canceled" in claimed.headers["warning"]) == (200, True)
    monkeypatch.setattr(server.archive, "worklist_deadline", 1e-9)
    for refused in (
        _send(server, f"{path}?{SECRET}", FINISHED),
        _send(server, f"{path}/state", _state("COMPLETED"), "PUT"),
    ):
        assert refused.status in (400, 409)
        assert b"the work goes on as procedure step 2.25." in refused.data
    (canceled,) = json.loads(server.ask(ITEMS + path).data)
    assert canceled["00741000"]["Value"] == ["CANCELED"]
    replaced = (
        "ReplacedProcedureStepSequence.ReferencedSOPInstanceUID=1.2.840.10&ProcedureStepState=SCHEDULED"
    )
    assert len(json.loads(server.ask(f"{ITEMS}?{replaced}").data)) == 1


@pytest.mark.slow
def test_the_work_list_is_not_open_to_everybody(server: Running) -> None:
    _created(server, "1.2.840.9")
    token = {"Authorization": "Bearer token"}
    with serving(server.archive, token="token", read_only=True) as guarded:
        assert guarded.ask(ITEMS).status == 401
        assert guarded.ask(ITEMS, headers=token).status == 200
        claim = guarded.ask(f"{ITEMS}/1.2.840.9/state", method="PUT", headers=token, body=b"")
        assert (claim.status, claim.data) == (403, b"This server is for reading only.\n")
    with serving(DeidentifiedArchive(server.archive, deidentifier()), read_only=True) as deidentified:
        for path in (ITEMS, f"{ITEMS}/1.2.840.9"):
            refused = deidentified.ask(path)
            assert (refused.status, b"no work list" in refused.data) == (501, True)
    scope = {"type": "http", "method": "GET", "path": ITEMS, "query_string": b"", "headers": []}
    of_one_study = Origin(lambda: server.archive).within(Resource("1.2.3"))
    with pytest.raises(Forbidden):
        asyncio.run(worklist.search(of_one_study, Request(scope)))
