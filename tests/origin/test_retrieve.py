"""WADO-RS: what is stored comes back, byte for byte where that is asked for."""

from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicomdock.sources import Part
from dicomdock.web.multipart.reader import read_parts
from tests import builders
from tests.conftest import shared_data

ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
DEFAULT = 'multipart/related; type="application/dicom"'


def parts(response):
    assert response.status == 200, response.data
    found = [
        (part.headers, b"".join(part.chunks()))
        for part in read_parts([response.data], response.headers["Content-Type"])
    ]
    for headers, body in found:
        assert int(headers["content-length"]) == len(body)
    return found


def bodies(response):
    return [body for _, body in parts(response)]


def path(made):
    return f"/dicom-web{made.resource.path}"


def series_path(made):
    return path(made).rpartition("/instances/")[0]


def encoded(made, syntax):
    """The same instance in another transfer syntax."""
    dataset = pydicom.dcmread(BytesIO(made.data))
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
        return builders.made(dataset)
    buffer = BytesIO()
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(
        buffer,
        dataset,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        force_encoding=True,
    )
    return builders.Made(dataset, buffer.getvalue())


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_what_was_stored_comes_back_byte_for_byte(server, level):
    stored = builders.ct_series(4)
    server.add(*(made.data for made in stored))
    address = {
        "study": f"/dicom-web/studies/{stored[0].study}",
        "series": series_path(stored[0]),
        "instance": path(stored[0]),
    }[level]
    response = server.ask(address, ANY)
    assert int(response.headers["Content-Length"]) == len(response.data)
    assert 'type="application/dicom"' in response.headers["Content-Type"]
    expected = stored if level != "instance" else stored[:1]
    assert sorted(bodies(response)) == sorted(made.data for made in expected)


def test_a_damaged_instance_is_named_and_the_others_are_given(server):
    stored = builders.ct_series(3)
    server.add(*(made.data for made in stored))
    file = server.archive.instances(stored[1].resource)[0].path
    file.write_bytes(file.read_bytes()[:-1] + b"\xee")
    for accept in (ANY, DEFAULT):
        response = server.ask(series_path(stored[0]), accept)
        assert response.status == 206
        assert stored[1].instance in response.headers["Warning"]
        given = read_parts([response.data], response.headers["Content-Type"])
        assert [b"".join(part.chunks()) for part in given] == [stored[0].data, stored[2].data]
    for below in ("", "/frames/1", "/rendered", "/thumbnail", "/metadata", "/bulk/7FE00010"):
        assert server.ask(path(stored[1]) + below, "*/*").status == 500


def test_one_instance_can_be_had_bare(server):
    (made,) = builders.ct_series(1)
    server.add(made.data)
    response = server.ask(path(made), "application/dicom; transfer-syntax=*")
    assert response.headers["Content-Type"] == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
    assert response.data == made.data
    assert server.ask(series_path(made), "application/dicom").status == 406


def test_head_tells_the_length_without_the_body(server):
    (made,) = builders.ct_series(1)
    server.add(made.data)
    response = server.ask(path(made), "application/dicom; transfer-syntax=*", "HEAD")
    assert (response.status, response.data) == (200, b"")
    assert int(response.headers["Content-Length"]) == len(made.data)


@pytest.mark.slow
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]
)
def test_by_default_instances_are_decoded_and_their_header_kept(server, syntax):
    (original,) = builders.ct_series(1, rows=64, columns=64, PatientComments="kept as it is")
    made = encoded(original, syntax)
    server.add(made.data)
    ((headers, body),) = parts(server.ask(path(made), DEFAULT))
    assert headers["content-type"] == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
    decoded = pydicom.dcmread(BytesIO(body))
    assert decoded.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert decoded.PixelData == original.dataset.PixelData
    assert decoded.SOPInstanceUID == original.instance
    assert decoded.PatientComments == "kept as it is"


def test_a_named_syntax_is_given_where_it_is_the_stored_one_and_else_not_acceptable(server):
    made = encoded(builders.ct_series(1)[0], RLELossless)
    server.add(made.data)
    assert bodies(server.ask(path(made), f"{DEFAULT}; transfer-syntax={RLELossless}")) == [made.data]
    response = server.ask(path(made), f"{DEFAULT}; transfer-syntax={JPEGLSLossless}")
    assert response.status == 406
    assert RLELossless in response.data.decode()
    none = server.ask(series_path(made), f"{DEFAULT}; transfer-syntax={JPEGLSLossless}")
    assert none.status == 406
    assert JPEGLSLossless in none.data.decode()
    assert bodies(server.ask(series_path(made), f"{DEFAULT}; transfer-syntax={RLELossless}")) == [made.data]


def test_broken_pixels_cannot_be_decoded_but_are_given_as_stored(server):
    whole = encoded(builders.ct_series(1)[0], JPEGLSLossless)
    made = builders.changed(whole, PixelData=encapsulate([b"\xff\xd8 this is not an image"]))
    server.add(made.data)
    response = server.ask(path(made), DEFAULT)
    assert response.status == 406
    assert "Traceback" not in response.data.decode()
    assert bodies(server.ask(path(made), ANY)) == [made.data]
    assert bodies(server.ask(series_path(made), DEFAULT)) == [made.data]


def test_documents_are_instances_like_any_other(server):
    made = builders.document()
    server.add(made.data)
    assert bodies(server.ask(path(made), ANY)) == [made.data]
    decoded = pydicom.dcmread(BytesIO(bodies(server.ask(path(made), DEFAULT))[0]))
    assert decoded.EncapsulatedDocument.startswith(made.dataset.EncapsulatedDocument)


@pytest.mark.parametrize("below", ["", "/metadata", "/rendered", "/thumbnail"])
def test_what_is_not_there_is_404_at_every_level(server, below):
    for resource in ("/studies/1.2", "/studies/1.2/series/1.3", "/studies/1.2/series/1.3/instances/1.4"):
        response = server.ask(f"/dicom-web{resource}{below}")
        assert response.status == 404, resource + below
        assert response.data.decode().rstrip().endswith(".")


def test_metadata_describe_every_instance_without_its_pixels(server):
    stored = builders.ct_series(3)
    server.add(*(made.data for made in stored))
    response = server.ask(series_path(stored[0]) + "/metadata", "application/dicom+json")
    assert response.headers["Content-Type"] == "application/dicom+json"
    described = {item["00080018"]["Value"][0]: item for item in response.json()}
    assert set(described) == {made.instance for made in stored}
    pixels = described[stored[0].instance]["7FE00010"]
    assert "InlineBinary" not in pixels


def test_bulk_data_is_found_where_the_metadata_point_to(server):
    (made,) = builders.ct_series(1)
    server.add(made.data)
    address = path(made) + "/metadata"
    (described,) = server.ask(address, "application/dicom+json").json()
    uri = described["7FE00010"]["BulkDataURI"]
    place = uri.removeprefix(server.root) if uri.startswith("http") else path(made) + "/" + uri
    response = server.ask(place, 'multipart/related; type="application/octet-stream"')
    assert bodies(response) == [made.dataset.PixelData]
    bare = server.ask(place, "application/octet-stream")
    assert bare.data == made.dataset.PixelData


def test_bulk_data_inside_sequences_and_what_is_none(server):
    made = builders.composite("1.2.840.10008.5.1.4.1.1.7")
    item = pydicom.Dataset()
    item.add_new("ICCProfile", "OB", b"profile!")
    made.OpticalPathSequence = [item]
    made = builders.made(made)
    server.add(made.data)
    found = server.ask(path(made) + "/bulk/00480105/0/00282000", "application/octet-stream")
    assert found.data == b"profile!"
    for place, status in (
        ("7FE00010", 404),
        ("00480105", 404),
        ("00480105/2/00282000", 404),
        ("../x", 400),
        ("zz", 400),
    ):
        assert server.ask(f"{path(made)}/bulk/{place}").status in (status, 404), place


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless])
def test_frames_are_decoded_in_the_order_asked_for(server, syntax):
    original = builders.multiframe(3)
    made = encoded(original, syntax) if syntax != ExplicitVRLittleEndian else original
    server.add(made.data)
    frames = bodies(
        server.ask(path(made) + "/frames/3,1", 'multipart/related; type="application/octet-stream"')
    )
    assert [np.frombuffer(frame, "<u2")[0] for frame in frames] == [3, 1]
    assert {len(frame) for frame in frames} == {128}


def test_frames_as_stored_are_labelled_with_their_syntax(server):
    made = encoded(builders.multiframe(2), JPEGLSLossless)
    server.add(made.data)
    response = server.ask(
        path(made) + "/frames/2", 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    )
    ((headers, body),) = parts(response)
    assert headers["content-type"] == f"image/jls; transfer-syntax={JPEGLSLossless}"
    assert body.startswith(b"\xff\xd8")
    assert server.ask(path(made) + "/frames/2", "multipart/related; type=image/jp2").status == 406


@pytest.mark.parametrize(
    ("numbers", "status"),
    [("4", 404), ("1,4", 404), ("0", 400), ("x", 400), ("1,,2", 400), ("99999999999", 400)],
)
def test_frames_that_are_none_are_refused(server, numbers, status):
    made = builders.multiframe(3)
    server.add(made.data)
    assert server.ask(f"{path(made)}/frames/{numbers}").status == status


@pytest.mark.slow
def test_pictures_at_every_level(server):
    stored = builders.ct_series(3)
    server.add(*(made.data for made in stored), builders.document(StudyInstanceUID=stored[0].study).data)
    study = f"/dicom-web/studies/{stored[0].study}"
    for address in (study, series_path(stored[0]), path(stored[0]), path(stored[0]) + "/frames/1"):
        for kind in ("rendered", "thumbnail"):
            response = server.ask(f"{address}/{kind}", "image/png")
            assert response.status == 200, address
            assert response.headers["Content-Type"] == "image/png"
            assert response.data.startswith(b"\x89PNG")
    every = server.ask(f"{study}/rendered", "multipart/related; type=image/jpeg")
    assert len(bodies(every)) == 3


@pytest.mark.parametrize(
    "query", ["window=1", "viewport=0,0", "viewport=9999,9", "quality=101", "quality=x", "window=1,2,x"]
)
def test_impossible_pictures_are_refused(server, query):
    (made,) = builders.ct_series(1)
    server.add(made.data)
    assert server.ask(f"{path(made)}/rendered?{query}").status == 400


def test_a_document_has_no_picture(server):
    made = builders.document()
    server.add(made.data)
    for address in (path(made), series_path(made), f"/dicom-web/studies/{made.study}"):
        response = server.ask(f"{address}/rendered")
        assert response.status in (404, 406), address
        assert "picture" in response.data.decode() or "image" in response.data.decode()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_sample_is_decoded_and_rendered(server):
    for file in sorted(shared_data("zoo", "transfer-syntaxes").iterdir()):
        data = file.read_bytes()
        with server.archive.writer(replace=True) as writer:  # most are the same instance, encoded otherwise
            resource = writer.add(Part.from_file(file)).resource
        address = f"/dicom-web{resource.path}"
        assert bodies(server.ask(address, ANY)) == [data], file.name
        dataset = pydicom.dcmread(BytesIO(bodies(server.ask(address, DEFAULT))[0]))
        if "PixelData" in dataset:
            frame = bodies(server.ask(address + "/frames/1"))[0]
            padding = len(frame) % 2
            assert len(frame) * dataset.get("NumberOfFrames", 1) + padding == len(dataset.PixelData), (
                file.name
            )
            assert server.ask(address + "/rendered?viewport=64,64").data[:2] == b"\xff\xd8", file.name


def test_every_frame_says_where_it_is(server):
    made = builders.multiframe(3)
    server.add(made.data)
    answer = server.ask(path(made) + "/frames/3,1", 'multipart/related; type="application/octet-stream"')
    places = [line for line in answer.data.split(b"\r\n") if line.lower().startswith(b"content-location")]
    expected = [f"Content-Location: {server.root}{path(made)}/frames/{number}".encode() for number in (3, 1)]
    assert places == expected
    bare = server.ask(path(made) + "/frames/2", "application/octet-stream")
    assert bare.headers["Content-Location"] == f"{server.root}{path(made)}/frames/2"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("absent", ["PixelRepresentation", "SamplesPerPixel", "BitsStored"])
def test_frames_and_pictures_need_no_attribute_that_has_one_sensible_value(server, syntax, absent):
    """They are type 1, and real images leave them out all the same."""
    made = builders.ct_series(1)[0]
    dataset = pydicom.dcmread(BytesIO(made.data))
    pixels = dataset.PixelData
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(pixels, "<u2").astype(">u2").tobytes()
    delattr(dataset, absent)
    dataset.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    pydicom.dcmwrite(
        file,
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        force_encoding=True,
    )
    server.add(file.getvalue())
    frame = bodies(server.ask(path(made) + "/frames/1", 'multipart/related; type="application/octet-stream"'))
    assert frame == [pixels]
    assert server.ask(path(made) + "/rendered", "image/png").status == 200


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("multipart", [False, True])
def test_large_bulk_data_come_from_the_file_without_being_held(server, monkeypatch, syntax, multipart):
    (made,) = builders.ct_series(1, rows=256, columns=256)
    instance = made if syntax == ExplicitVRLittleEndian else encoded(made, syntax)
    data = instance if isinstance(instance, bytes) else instance.data
    server.add(data)
    if syntax != ExplicitVRBigEndian:  # whose bytes must be swapped

        def refused(*_args):
            raise AssertionError("the value was read whole")

        monkeypatch.setattr("dicomdock.origin.decoding.read_value", refused)
    accept = 'multipart/related; type="application/octet-stream"' if multipart else "application/octet-stream"
    answer = server.ask(path(made) + "/bulk/7FE00010", accept)
    assert answer.status == 200
    value = bodies(answer)[0] if multipart else answer.data
    assert value == made.dataset.PixelData
