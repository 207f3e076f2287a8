"""Subscriptions and event channels: curl subscribes, a WebSocket client of others listens."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from urllib.parse import urlsplit

import pytest
from pydicom.dataset import Dataset
from starlette.routing import Router
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dicomdock.origin import event_channel
from dicomdock.origin.app import routes
from dicomdock.worklist import subscriptions
from dicomdock.worklist.procedure_step import SOP_CLASS
from dicomdock.worklist.requirements import State
from dicomdock.worklist.store import ProcedureSteps
from tests.conftest import unavailable
from tests.origin.running import Running, serving
from tests.worklist.test_procedure_step import SCHEDULED

ALL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
ITEMS = "/dicom-web/workitems"
PATIENCE = 120.0  # seconds; for a machine that is busy


def _curl(server: Running, path: str, method: str = "POST") -> tuple[int, dict[str, str]]:
    """Send a request as the examples of the standard have it; its status, and the headers of the answer."""
    curl = shutil.which("curl") or unavailable("curl", "apt install curl")
    command = [curl, "-sS", "-i", "-g", "-X", method, server.root + ITEMS + path]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    first, *lines = done.stdout.decode().partition("\r\n\r\n")[0].split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): text for name, text in headers.items()}


@pytest.mark.slow
def test_a_subscriber_hears_of_each_change_and_later_of_what_it_missed(server: Running) -> None:
    steps = ProcedureSteps(server.archive.worklist.open())
    status, headers = _curl(server, f"/{ALL}/subscribers/READER?deletionlock=false")
    channel = headers["content-location"]
    assert (status, channel) == (201, f"ws://{urlsplit(server.root).netloc}/dicom-web/subscribers/READER")
    with (
        connect(channel, open_timeout=PATIENCE) as listener,
        connect(channel, open_timeout=PATIENCE) as second,
    ):
        steps.create("1.2.840.1", SCHEDULED)
        text = listener.recv(PATIENCE)
        assert isinstance(text, str)
        report = Dataset.from_json(text)  # another reader of DICOM JSON
        assert (report.AffectedSOPClassUID, report.AffectedSOPInstanceUID) == (SOP_CLASS, "1.2.840.1")
        assert (report.EventTypeID, report.ProcedureStepState) == (1, "SCHEDULED")
        assert report.InputReadinessState == "READY"
        assert json.loads(second.recv(PATIENCE)) == json.loads(text)
        steps.change_state("1.2.840.1", State.IN_PROGRESS, "1.2.9")
        assert json.loads(listener.recv(PATIENCE))["00741000"]["Value"] == ["IN PROGRESS"]
        asked = server.ask(f"{ITEMS}/1.2.840.1/cancelrequest", method="POST")
        assert asked.status == 202
        assert json.loads(listener.recv(PATIENCE))["00001002"]["Value"] == [2]
    assert _curl(server, f"/{ALL}/subscribers/READER/suspend")[0] == 200
    steps.create("1.2.840.2", SCHEDULED)  # of which it does not hear
    assert _curl(server, "/1.2.840.2/subscribers/READER")[0] == 201
    with connect(channel, open_timeout=PATIENCE) as listener:
        heard = (json.loads(listener.recv(PATIENCE)) for _ in range(9))  # the last ones perhaps once more
        assert any(report["00001000"]["Value"] == ["1.2.840.2"] for report in heard)
    assert _curl(server, f"/{ALL}/subscribers/READER", "DELETE")[0] == 200
    assert server.ask(f"{ITEMS}/1.2.840.1/cancelrequest", method="POST").status == 409


@pytest.mark.slow
def test_a_filter_selects_by_attributes_as_the_standard_writes_them(server: Running) -> None:
    """The form of PS3.18 §11.10.1.2.2, with several keys, a tag, and a list of UIDs with its own commas."""
    steps = ProcedureSteps(server.archive.worklist.open())
    keys = "WorklistLabel=livers,00100020=P1,StudyInstanceUID=1.2.3,1.2.4"
    path = f"/{FILTERED}/subscribers/FILTERER"
    status, headers = _curl(server, f"{path}?filter={keys}&deletionlock=true")
    assert status == 201
    with connect(headers["content-location"], open_timeout=PATIENCE) as listener:
        for number, (label, patient, study) in enumerate(
            (
                ("lungs", "P1", "1.2.3"),
                ("livers", "P2", "1.2.3"),
                ("livers", "P1", "1.2.5"),
                ("livers", "P1", "1.2.4"),
            )
        ):
            values = {
                "00741202": {"vr": "LO", "Value": [label]},
                "00100020": {"vr": "LO", "Value": [patient]},
                "0020000D": {"vr": "UI", "Value": [study]},
            }
            steps.create(f"1.2.841.{number}", {**SCHEDULED, **values})
        assert json.loads(listener.recv(PATIENCE))["00001000"]["Value"] == ["1.2.841.3"]
    assert _curl(server, f"{path}/suspend")[0] == 200
    assert _curl(server, path, "DELETE")[0] == 200


@pytest.mark.slow
def test_a_subscription_is_refused_by_the_code_of_the_standard(server: Running) -> None:
    for path, method, expected in (
        ("/1.2.840.99/subscribers/READER", "POST", 404),
        ("/1.2.840.99/subscribers/READER", "DELETE", 404),
        (f"/{ALL}/subscribers/READER/suspend", "POST", 404),
        ("/1.2.840.99/subscribers/READER/suspend", "POST", 400),
        (f"/{ALL}/subscribers/A%5CB", "POST", 400),
        (f"/{ALL}/subscribers/READER?deletionlock=perhaps", "POST", 400),
        (f"/{FILTERED}/subscribers/READER?PatientID=1", "POST", 400),  # which is not a filter
        (f"/{FILTERED}/subscribers/READER?filter=", "POST", 400),
        (f"/{FILTERED}/subscribers/READER?filter=PatientID", "POST", 400),
        (f"/{FILTERED}/subscribers/READER?filter=limit=5", "POST", 400),
        (f"/{FILTERED}/subscribers/READER?filter=NoSuchKeyword=5", "POST", 400),
        (f"/{FILTERED}/subscribers/READER/suspend", "POST", 404),
    ):
        assert (path, _curl(server, path, method)[0]) == (path, expected)


def _status(channel: str, **options: object) -> int:
    """Open an event channel and close it; the status of the answer."""
    try:
        with connect(channel, open_timeout=PATIENCE, **options):  # type: ignore[arg-type]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_an_event_channel_is_as_open_as_reading_and_not_to_pages_of_others(server: Running) -> None:
    address = server.root.replace("http", "ws") + "/dicom-web/subscribers/READER"

    assert _status(address) == 101
    assert _status(address, origin=server.root) == 101
    assert _status(address, origin="http://evil.example") == 403
    assert _status(address + "%5C") == 400
    token = {"Authorization": "Bearer token"}
    page = "https://viewer.example"
    with serving(server.archive, token="token", read_only=True, cors=[page]) as guarded:
        address = guarded.root.replace("http", "ws") + "/dicom-web/subscribers/READER"
        assert _status(address) == 401
        assert _status(address, additional_headers=token) == 101
        assert _status(address, additional_headers=token, origin=page) == 101
        assert _status(address, additional_headers=token, origin="http://evil.example") == 403
        subscribed = guarded.ask(f"{ITEMS}/{ALL}/subscribers/READER", method="POST", headers=token)
        assert subscribed.status == 403
    assert len(Router(routes=routes(server.archive)).routes) == 1  # the dock has none


@pytest.mark.slow
def test_a_subscriber_that_takes_nothing_is_cut_and_keeps_what_it_was_not_sent(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_channel, "STALLED", 0.5)
    database = server.archive.worklist.open()
    ProcedureSteps(database).create("1.2.840.3", SCHEDULED)
    _curl(server, "/1.2.840.3/subscribers/SLOW")
    with database.writing() as connection:
        large = {"00741006": {"vr": "ST", "Value": ["x" * 50_000]}}
        subscriptions.put(connection, ["SLOW"], [large] * 400)  # 20 MB: more than systems buffer
    parts = urlsplit(server.root)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((parts.hostname, parts.port))
    with slow:
        slow.sendall(
            f"GET /dicom-web/subscribers/SLOW HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        deadline = time.monotonic() + PATIENCE
        while "took nothing" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    channel = server.root.replace("http", "ws") + "/dicom-web/subscribers/SLOW"
    with connect(channel, open_timeout=PATIENCE) as again:
        assert again.recv(PATIENCE)


def test_too_many_event_channels_are_refused(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_channel, "MAX_CHANNELS", 0)
    channel = server.root.replace("http", "ws") + "/dicom-web/subscribers/READER"
    assert _status(channel) == 503
    monkeypatch.undo()
    assert _status(channel) == 101
