"""What clients say they accept, and what we choose from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.origin.accept import (
    EXPLICIT_LITTLE,
    Choice,
    choices,
    data_set_form,
    frame_form,
    instance_form,
    picture_type,
)

DICOM = 'multipart/related; type="application/dicom"'
JPEG_LS = "1.2.840.10008.1.2.4.80"
IMPLICIT = "1.2.840.10008.1.2"


def test_choices_come_by_quality_then_by_order_and_refused_ones_not_at_all():
    accept = 'text/html;q=0.5, multipart/related;type="application/dicom";q=0.9, image/png;q=0, image/jpeg'
    assert [choice.essence for choice in choices(accept)] == ["image/jpeg", "application/dicom", "text/html"]


def test_a_comma_inside_quotes_does_not_end_an_entry():
    assert choices('multipart/related; type="application/dicom"; x="a,b", image/png')[0] == Choice(
        "application/dicom", multipart=True
    )


@pytest.mark.slow
@given(st.text(max_size=200))
def test_any_header_is_read_without_failing(text):
    choices(text)
    instance_form(text, single=True)
    frame_form(text, JPEG_LS, single=False)
    picture_type(text)
    data_set_form(text)


@pytest.mark.parametrize(
    ("accept", "syntaxes"),
    [
        (f"{DICOM}; transfer-syntax=*", {"*"}),
        ("multipart/related; type=application/dicom; transfer-syntax=*", {"*"}),
        (f"{DICOM}", {EXPLICIT_LITTLE}),
        (f"{DICOM}; transfer-syntax={JPEG_LS}, {DICOM}", {JPEG_LS, EXPLICIT_LITTLE}),
        ("*/*", {EXPLICIT_LITTLE}),
        ("", {EXPLICIT_LITTLE}),
    ],
)
def test_a_series_is_given_as_parts(accept, syntaxes):
    form = instance_form(accept, single=False)
    assert form is not None
    assert form.multipart
    assert form.transfer_syntaxes == syntaxes


def test_one_instance_is_given_bare_on_request_but_a_series_cannot_be():
    accept = "application/dicom; transfer-syntax=*"
    form = instance_form(accept, single=True)
    assert form is not None
    assert not form.multipart
    assert form.as_stored(JPEG_LS)
    assert instance_form(accept, single=False) is None


def test_a_named_syntax_alone_forbids_decoding():
    form = instance_form(f"{DICOM}; transfer-syntax={JPEG_LS}", single=False)
    assert form is not None
    assert form.as_stored(JPEG_LS)
    assert not form.as_stored(IMPLICIT)
    assert not form.decode


@pytest.mark.parametrize("accept", ["image/png", "multipart/related; type=image/jpeg", "application/zip"])
def test_instances_are_given_as_nothing_else(accept):
    assert instance_form(accept, single=True) is None


@pytest.mark.parametrize(
    ("accept", "stored", "media_type", "decode"),
    [
        ("multipart/related; type=application/octet-stream", JPEG_LS, "application/octet-stream", True),
        ("*/*", JPEG_LS, "application/octet-stream", True),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", JPEG_LS, "image/jls", False),
        ("multipart/related; type=image/jls", JPEG_LS, "image/jls", False),
        ('multipart/related; type="image/x-jls"', JPEG_LS, "image/jls", False),
        (f"multipart/related; type=image/jls; transfer-syntax={JPEG_LS}", JPEG_LS, "image/jls", False),
        (
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            IMPLICIT,
            "application/octet-stream",
            False,
        ),
        ("*/*", "1.2.840.10008.1.2.2", "application/octet-stream", True),
        ("multipart/related; type=image/jp2, */*", JPEG_LS, "application/octet-stream", True),
    ],
)
def test_frames_are_decoded_or_given_as_stored(accept, stored, media_type, decode):
    form = frame_form(accept, stored, single=False)
    assert form is not None
    assert form.media_type.partition(";")[0] == media_type
    assert form.decode == decode
    assert form.multipart


def test_frames_are_not_transcoded_to_other_compressions():
    assert frame_form("multipart/related; type=image/jp2", JPEG_LS, single=False) is None


def test_one_frame_can_be_had_bare():
    form = frame_form("application/octet-stream", IMPLICIT, single=True)
    assert form is not None
    assert not form.multipart
    assert frame_form("application/octet-stream", IMPLICIT, single=False) is None


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", ("image/jpeg", False)),
        ("image/png", ("image/png", False)),
        ("image/*", ("image/jpeg", False)),
        ("image/avif,image/webp,image/png,*/*;q=0.8", ("image/png", False)),
        ("multipart/related; type=image/png", ("image/png", True)),
        ("image/gif", None),
    ],
)
def test_pictures_are_jpeg_or_png(accept, wanted):
    assert picture_type(accept) == wanted


JSON, XML = "application/dicom+json", "application/dicom+xml"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("application/dicom+json", (JSON, False)),
        ("application/json", ("application/json", False)),
        ("", (JSON, False)),
        ("*/*", (JSON, False)),
        ('multipart/related; type="application/dicom+xml", application/dicom+json', (JSON, False)),
        ('application/dicom+json;q=0.5, multipart/related; type="application/dicom+xml"', (XML, True)),
        ('multipart/related; type="application/dicom+xml"', (XML, True)),
        ("multipart/related; type=application/dicom+xml", (XML, True)),
        ("multipart/related", (XML, True)),
        ("application/dicom+xml", (XML, False)),
        ("application/dicom+xml, */*;q=0.1", (XML, False)),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, image/webp, */*;q=0.8", (JSON, False)),
        ("text/html, image/gif, image/jpeg, */*; q=.2, */*; q=.2", (JSON, False)),
        ("application/xml", None),
        ('multipart/related; type="application/nope"', None),
        ("multipart/nope", None),
        ("text/html", None),
    ],
)
def test_data_sets_are_json_or_xml(accept, wanted):
    form = data_set_form(accept)
    assert (form and (form.media_type, form.multipart)) == wanted


@pytest.mark.parametrize("accept", ["nope", "toto, tata", "multipart", ";q=1"])
def test_what_is_not_a_media_type_accepts_nothing(accept):
    assert choices(accept) == ()
    assert [choice.essence for choice in choices(f"{accept}, image/png")] == ["image/png"]


def test_a_lone_star_accepts_anything():
    assert [choice.anything for choice in choices("text/html; q=.5, *; q=.2")] == [False, True]
