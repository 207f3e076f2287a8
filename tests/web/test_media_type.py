from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.web.media_type import MediaType


@pytest.mark.parametrize(
    ("text", "essence", "parameters"),
    [
        ("application/dicom", "application/dicom", {}),
        ("Application/DICOM+JSON; charset=UTF-8", "application/dicom+json", {"charset": "UTF-8"}),
        (
            'multipart/related; type="application/dicom"; boundary="a;b=c"; transfer-syntax=*',
            "multipart/related",
            {"type": "application/dicom", "boundary": "a;b=c", "transfer-syntax": "*"},
        ),
        (
            "multipart/related;type=application/dicom;BOUNDARY= abc ",
            "multipart/related",
            {"type": "application/dicom", "boundary": "abc"},
        ),
        (r'a/b; x="say \"hi\""', "a/b", {"x": 'say "hi"'}),
        ('a/b; x="never closed; y=1', "a/b", {"x": "never closed; y=1"}),
        ("a/b; x=1; x=2", "a/b", {"x": "1"}),
        ("a/b; ; =; broken; x=", "a/b", {"x": ""}),
        ("", "", {}),
        (" ;boundary=b", "", {"boundary": "b"}),
    ],
)
def test_reads_what_servers_write(text, essence, parameters):
    media = MediaType.parse(text)
    assert media.essence == essence
    assert media.parameters == parameters


def test_the_root_type_is_what_the_parts_are():
    assert MediaType.parse('multipart/related; type="Application/Dicom"').root_type == "application/dicom"
    assert MediaType.parse("multipart/related").root_type == ""
    assert MediaType.parse("image/jpeg").root_type == "image/jpeg"


def test_what_it_writes_it_reads():
    media = MediaType("multipart/related", {"type": "application/dicom", "boundary": 'odd "one"; \\'})
    assert MediaType.parse(str(media)) == media
    assert hash(MediaType.parse(str(media))) == hash(media)


@pytest.mark.slow
@given(st.text())
def test_nothing_makes_it_fail(text):
    MediaType.parse(text)
