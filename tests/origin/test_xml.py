"""Data sets as XML: the same content as in JSON, in the bodies that the standard names."""

from __future__ import annotations

import shutil
import subprocess
from xml.etree import ElementTree as ET

import pytest

from dicomdock.dicom.xml_model import from_xml
from dicomdock.sources import Part
from dicomdock.web.multipart.reader import read_parts
from dicomdock.web.multipart.writer import MultipartBody
from tests import builders
from tests.conftest import unavailable

JSON, XML = "application/dicom+json", "application/dicom+xml"
PARTS = f'multipart/related; type="{XML}"'


def documents(response):
    assert response.status == 200, response.data
    assert response.headers["Content-Type"].startswith(f'multipart/related; type="{XML}"; boundary=')
    found = []
    for part in read_parts([response.data], response.headers["Content-Type"]):
        assert part.content_type == XML
        found.append(b"".join(part.chunks()))
    return found


@pytest.fixture
def filled(server):
    made = builders.ct_series(2, PatientName="Müller^Jörg=山", StudyDescription="a & <b>")
    server.add(*(one.data for one in made))
    return server, made[0]


@pytest.mark.parametrize(
    "path", ["/studies", "/studies/{0.study}/series", "/instances", "/studies/{0.study}/metadata"]
)
@pytest.mark.parametrize("accept", [PARTS, "multipart/related; type=application/dicom+xml", XML])
def test_xml_says_what_json_says(filled, path, accept):
    server, made = filled
    path = "/dicom-web" + path.format(made)
    found = [from_xml(document) for document in documents(server.ask(path, accept))]
    assert found == server.ask(path, JSON).json()


def test_the_metadata_of_one_instance_are_one_document_where_that_is_accepted(filled):
    server, made = filled
    path = f"/dicom-web{made.resource.path}/metadata"
    response = server.ask(path, XML)
    assert (response.status, response.headers["Content-Type"]) == (200, XML)
    assert [from_xml(response.data)] == server.ask(path, JSON).json()
    assert documents(server.ask(path, PARTS)) == [response.data]


def test_bulk_data_can_be_retrieved_from_the_address_in_the_document(filled):
    server, made = filled
    document = server.ask(f"/dicom-web{made.resource.path}/metadata", XML).data
    (bulk,) = ET.fromstring(document).iter("{http://dicom.nema.org/PS3.19/models/NativeDICOM}BulkData")
    address = bulk.attrib["uri"].removeprefix(server.root)
    assert server.ask(address, "application/octet-stream").data == made.dataset.PixelData


def test_a_search_without_matches_has_no_content(filled):
    server, _ = filled
    response = server.ask("/dicom-web/studies?PatientID=nobody", PARTS)
    assert (response.status, response.data) == (204, b"")


@pytest.mark.parametrize("accept", [PARTS, XML])
def test_what_is_not_there_is_404(server, accept):
    assert server.ask("/dicom-web/studies/1.2.3/metadata", accept).status == 404


def test_nothing_that_is_accepted_is_406_and_names_both_forms(filled):
    server, made = filled
    for path in ("/dicom-web/studies", f"/dicom-web{made.resource.path}/metadata"):
        for accept in ("application/nope", 'multipart/related; type="application/nope"', "multipart/nope"):
            response = server.ask(path, accept)
            assert response.status == 406
            assert JSON.encode() in response.data
            assert XML.encode() in response.data


def test_the_answer_to_an_upload_is_xml_on_request(server):
    (made,) = builders.ct_series(1)

    def upload(accept):
        body = MultipartBody([Part("application/dicom", lambda: iter((made.data,)), length=len(made.data))])
        return server.ask(
            "/dicom-web/studies",
            accept,
            "POST",
            body=b"".join(body.chunks()),
            headers={"Content-Type": body.content_type},
        )

    response = upload(XML)
    assert (response.status, response.headers["Content-Type"]) == (200, XML)
    assert from_xml(response.data) == upload(JSON).json()


@pytest.mark.slow
def test_dcm2xml_finds_the_same_in_the_stored_file(filled, tmp_path):
    if shutil.which("dcm2xml") is None:
        unavailable("dcm2xml", "apt install dcmtk")
    server, made = filled
    stored = tmp_path / "stored.dcm"
    stored.write_bytes(made.data)
    witness = subprocess.run(
        ["dcm2xml", "--native-format", str(stored)], capture_output=True, check=True, text=True
    ).stdout
    document = server.ask(f"/dicom-web{made.resource.path}/metadata", XML).data

    def texts(root, prefix=""):
        return {
            element.get("tag"): [part.text for part in element.iter() if (part.text or "").strip()]
            for element in root
            if not element.get("tag").startswith("0002") and element.get("vr") not in ("DS", "OW", "OB")
        }

    assert texts(ET.fromstring(document)) == texts(ET.fromstring(witness))
