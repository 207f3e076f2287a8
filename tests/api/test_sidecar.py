"""The note beside a file: what is written is read again, and whatever else lies there does no harm."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.api.sidecar import MAX_BYTES, Described, Sidecar, read_sidecar
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.imaging.terminology import Terminology

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("1"), inner, max_size=3)
    ),
    max_leaves=8,
)
SEGMENT = st.fixed_dictionaries(
    {}, optional={"label": ANYTHING, "terminology": ANYTHING | st.text("~^|a"), "colour": ANYTHING}
)
NOTE = st.fixed_dictionaries(
    {"resource": st.just("1.2/3.4") | ANYTHING},
    optional={
        "images": st.just("1.2/3.4") | ANYTHING,
        "name": ANYTHING,
        "segments": ANYTHING | st.dictionaries(st.sampled_from(["1", "2", "x"]), SEGMENT),
    },
)


@pytest.mark.slow
@given(NOTE | ANYTHING)
def test_any_json_is_a_note_or_none_or_refused(document):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "note.json"
        path.write_text(json.dumps(document), "utf-8")
        try:
            found = read_sidecar(path)
        except InvalidInput as error:
            assert "damaged" in str(error)
        else:
            assert found is None or isinstance(found, Sidecar)


@pytest.mark.slow
@given(
    st.text(max_size=40),
    st.dictionaries(
        st.integers(1, 65535),
        st.tuples(st.text(min_size=1, max_size=64), st.tuples(*[st.integers(0, 255)] * 3)),
        max_size=4,
    ),
)
def test_what_is_written_is_read(name, segments):
    described = {
        value: Described(label, Terminology.suggest(label), colour)
        for value, (label, colour) in segments.items()
    }
    note = Sidecar(Resource("1.2", "3.4", "5.6"), Resource("1.2", "7.8"), name, "", described)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "note.json"
        path.write_bytes(note.to_json().encode())
        assert read_sidecar(path) == note


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b" " * (MAX_BYTES + 1)])
def test_other_files_are_passed_over(tmp_path, content):
    path = tmp_path / "note.json"
    path.write_bytes(content)
    assert read_sidecar(path) is None
    assert read_sidecar(tmp_path / "none.json") is None
