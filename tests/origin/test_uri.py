"""WADO-URI: one instance by query parameters."""

from io import BytesIO
from urllib.parse import urlencode

import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from tests import builders


def ask(server, made, **parameters):
    named = {
        "requestType": "WADO",
        "studyUID": made.study,
        "seriesUID": made.series,
        "objectUID": made.instance,
    }
    return server.ask("/wado?" + urlencode({**named, **parameters}))


@pytest.fixture
def made(server):
    dataset = pydicom.dcmread(BytesIO(builders.multiframe(3, rows=16, columns=32).data))
    dataset.compress(RLELossless, generate_instance_uid=False)
    made = builders.made(dataset)
    server.add(made.data)
    return made


@pytest.mark.slow
def test_the_instance_comes_as_stored_or_decoded(server, made):
    stored = ask(server, made, contentType="application/dicom", transferSyntax=RLELossless)
    assert stored.data == made.data
    assert stored.headers["Content-Type"].startswith("application/dicom")
    decoded = pydicom.dcmread(BytesIO(ask(server, made, contentType="application/dicom").data))
    assert decoded.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_by_default_it_is_a_jpeg_picture(server, made):
    response = ask(server, made)
    assert response.headers["Content-Type"] == "image/jpeg"
    assert Image.open(BytesIO(response.data)).size == (32, 16)


def test_frame_size_and_window_can_be_asked_for(server, made):
    wanted = {"contentType": "image/png", "windowCenter": 2, "windowWidth": 2, "columns": 8}
    darker, brighter = (
        Image.open(BytesIO(ask(server, made, frameNumber=number, **wanted).data)) for number in (1, 3)
    )
    assert darker.format == "PNG"
    assert darker.size == (8, 4)
    assert darker.getpixel((0, 0)) < brighter.getpixel((0, 0))


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"requestType": "other"}, 400),
        ({"objectUID": ""}, 400),
        ({"objectUID": "../x"}, 400),
        ({"objectUID": "1.2.3"}, 404),
        ({"contentType": "text/html"}, 406),
        ({"rows": "none"}, 400),
        ({"frameNumber": "0"}, 400),
        ({"frameNumber": "9"}, 404),
        ({"windowCenter": "40"}, 400),
        ({"anonymize": "yes", "contentType": "application/dicom"}, 501),
        ({"region": "0.1,0.1,0.5,0.5"}, 501),
        ({"presentationUID": "1.2.3"}, 501),
        ({"windowCenter": "a", "windowWidth": "1"}, 400),
    ],
)
def test_what_cannot_be_is_refused(server, made, parameters, status):
    assert ask(server, made, **parameters).status == status


@pytest.mark.slow
def test_study_and_series_may_be_left_out_but_not_be_wrong(server):
    made = builders.ct_series(1)[0]
    server.add(made.data)
    asked = f"/wado?requestType=WADO&contentType=application/dicom&transferSyntax=*&objectUID={made.instance}"
    for more in ("", f"&seriesUID={made.series}", f"&studyUID={made.study}"):
        assert server.ask(asked + more).data == made.data, more
    for more in ("&seriesUID=1.2.3", "&studyUID=1.2.3", f"&studyUID=1.2.3&seriesUID={made.series}"):
        assert server.ask(asked + more).status == 404
    for wrong in ("*", "", "1.2*", f"{made.instance},1.2"):
        refused = server.ask(asked.replace(made.instance, wrong))
        assert refused.status in (400, 404), wrong
