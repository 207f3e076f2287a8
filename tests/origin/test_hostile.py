"""Requests made to hurt: each gets a status and a sentence, and the server goes on."""

import tracemalloc
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomdock.errors import InvalidInput, NotAcceptable, NotFound
from dicomdock.origin.app import TRANSACTIONS
from dicomdock.origin.decoding import decode_frame, read_frame, read_value, write_explicit
from dicomdock.origin.rendering import render
from dicomdock.origin.view import View, Viewport
from tests import builders

KNOWN = builders.ct_series(1)[0]
READING = sorted({transaction.path for transaction in TRANSACTIONS if transaction.method == "GET"})
PARAMETERS = """limit offset fuzzymatching includefield PatientName StudyDate 00100020 ModalitiesInStudy
    window viewport quality accept requestType studyUID frameNumber RequestAttributesSequence.X"""
NAMES = st.sampled_from(PARAMETERS.split())
ODD = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "*",
            "?",
            "-",
            "20200101-",
            "1,2,3",
            "\\",
            "%",
            "0",
            "-1",
            "9" * 30,
            "nan",
            "1e999",
            "../../etc/passwd",
        ]
    ),
)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    path=st.sampled_from(READING),
    query=st.lists(st.tuples(NAMES, ODD), max_size=4),
    accept=ODD,
)
def test_no_reading_request_makes_the_server_fail(server, data, path, query, accept):
    if not server.archive.present(KNOWN.resource):
        server.add(KNOWN.data)
    known = {"{study}": KNOWN.study, "{series}": KNOWN.series, "{instance}": KNOWN.instance}
    path = path if path == "/wado" else "/dicom-web" + path
    for name in ("{study}", "{series}", "{instance}", "{frames}", "{place:path}"):
        if name in path:
            value = data.draw(st.one_of(st.just(known.get(name, "1")), ODD), label=name)
            path = path.replace(name, quote(value, safe="") or "0")
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
    headers = {
        "Accept": accept.encode("ascii", "replace").decode().translate({10: 32, 13: 32, 0: 32}).strip()
        or "*/*"
    }
    response = server.ask(f"{path}?{text}", headers=headers)
    assert response.status < 500, (path, text, headers, response.data)
    if response.status >= 400:
        assert b"Traceback" not in response.data


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.integers(132, len(KNOWN.data) - 1), st.integers(0, 255)), min_size=1, max_size=12
    )
)
def test_no_broken_instance_raises_what_is_not_foreseen(tmp_path, changes):
    data = bytearray(KNOWN.data)
    for place, byte in changes:
        data[place] = byte
    stored = tmp_path / "stored.dcm"
    stored.write_bytes(data)
    for work in (
        lambda: render(stored, 1, View(viewport=Viewport(64, 64))),
        lambda: read_frame(stored, 1),
        lambda: decode_frame(stored, 1),
        lambda: read_value(stored, ["7FE00010"]),
        lambda: write_explicit(stored, tmp_path / "made.dcm"),
    ):
        with suppress(InvalidInput, NotAcceptable, NotFound):
            work()


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n\r\n--x--\r\n",
        b"--x\r\nContent-Type: application/dicom\r\nContent-Length: 99999999999999\r\n\r\nDICM\r\n--x--\r\n",
        b"--x\r\n\r\n" + b"\0" * 128 + b"DICM" + b"\xff" * 64 + b"\r\n--x--\r\n",
        b"--x\r\n\r\n\r\n" * 1000 + b"--x--\r\n",
    ],
)
def test_no_upload_makes_the_server_fail(server, body):
    response = server.ask(
        "/dicom-web/studies",
        "application/dicom+json",
        "POST",
        body=body,
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'},
    )
    assert response.status in (400, 409), response.data[:300]
    assert server.ask("/dicom-web/studies").status == 200


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated"])
def test_a_size_of_many_values_is_not_multiplied(keyword, tmp_path):
    """A list of 256 values times 65535 times 64 took 1 GB."""
    dataset = builders.ct_series(1)[0].dataset
    dataset[keyword].value = [3] * 256
    if keyword != "BitsAllocated":
        dataset.BitsAllocated = 16
    stored = tmp_path / "stored.dcm"
    stored.write_bytes(builders.encode(dataset))
    tracemalloc.start()
    for read in (
        lambda: write_explicit(stored, tmp_path / "made.dcm"),
        lambda: read_frame(stored, 1),
        lambda: decode_frame(stored, 1),
        lambda: render(stored, 1),
    ):
        with pytest.raises(NotAcceptable):
            read()
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
