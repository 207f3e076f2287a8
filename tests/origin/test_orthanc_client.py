"""Orthanc as a client: its DICOMweb plugin searches, retrieves from and stores on our origin server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.builders import ct_series
from tests.origin.running import Running
from tests.servers.orthanc import Orthanc

pytestmark = [pytest.mark.servers]


@pytest.fixture(params=["orthanc", "orthanc_next"])
def client(request: pytest.FixtureRequest, server: Running) -> Iterator[Orthanc]:
    """An Orthanc that knows our server as ``dock``."""
    orthanc: Orthanc = request.getfixturevalue(request.param)
    known = json.dumps({"Url": f"{server.url}/", "ChunkedTransfers": True}).encode()
    orthanc.rest("PUT", "/dicom-web/servers/dock", known)
    yield orthanc
    orthanc.rest("DELETE", "/dicom-web/servers/dock")


def ask(client: Orthanc, action: str, **body: Any) -> Any:
    """Let Orthanc do something with our server, and return its answer."""
    answer = client.rest("POST", f"/dicom-web/servers/dock/{action}", json.dumps(body).encode())
    return json.loads(answer) if answer.strip() else None


def test_orthanc_finds_a_study_and_its_instances(client: Orthanc, server: Running) -> None:
    made = ct_series(3)
    server.add(*(one.data for one in made))
    study = made[0].study
    (row,) = ask(client, "qido", Uri="/studies", Arguments={"StudyInstanceUID": study})
    assert row["0020000D"]["Value"] == study  # Orthanc unpacks single values
    found = ask(client, "qido", Uri=f"/studies/{study}/instances", Arguments={})
    assert {row["00080018"]["Value"] for row in found} == {one.instance for one in made}


def test_orthanc_retrieves_a_study_unchanged(client: Orthanc, server: Running) -> None:
    made = ct_series(3)
    server.add(*(one.data for one in made))
    ask(client, "retrieve", Resources=[{"Study": made[0].study}], Synchronous=True)
    assert client.instance_count() == 3
    assert [client.stored_bytes(one.instance) for one in made] == [one.data for one in made]


def test_orthanc_stores_a_study_unchanged(client: Orthanc, server: Running) -> None:
    made = ct_series(3)
    client.add(*(one.data for one in made))
    (study,) = json.loads(client.rest("GET", "/studies"))
    ask(client, "stow", Resources=[study], Synchronous=True)
    paths = [server.archive.instances(one.resource)[0].path for one in made]
    assert [path.read_bytes() for path in paths] == [one.data for one in made]
