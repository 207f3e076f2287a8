"""The data set of a request, strictly read: whatever comes is refused or goes out again as it came."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.errors import InvalidInput
from dicomdock.worklist.data_set import read_data_set
from tests.worklist.test_procedure_step import FINISHED, SCHEDULED


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_data_set_is_read_as_it_is(wrapped: bool) -> None:
    sent = {**SCHEDULED, **FINISHED, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ä^B"}]}}
    assert read_data_set(json.dumps([sent] if wrapped else sent).encode()) == sent
    assert read_data_set(b" \n") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"<xml/>",
        b"[]",
        b"[{}, {}]",
        b'"text"',
        b'{"00741204": {"vr": "LO", "Value": [NaN]}}',
        b'{"00741204": {"vr": "FD", "Value": [1e999]}}',
        b'{"00741204": {"vr": "LO", "Value": ["\\ud800"]}}',
        b'{"00741204": {"vr": "LO", "Value": ["\xff"]}}',
        b'{"00741204": {"vr": "LO", "Value": "one"}}',
        b'{"00741204": {"Value": ["one"]}}',
        b'{"00741204": {"vr": "OB", "BulkDataURI": "http://somewhere"}}',
        b'{"00741204": {"vr": "LO", "Value": [{"a": 1}]}}',
        b'{"00741002": {"vr": "SQ", "Value": ["item"]}}',
        b'{"00100010": {"vr": "PN", "Value": ["name"]}}',
        b'{"00001000": {"vr": "UI", "Value": ["1.2.3"]}}',
        b'{"PatientName": {"vr": "PN"}}',
        b'{"00741002": {"vr": "SQ", "Value": [' * 100 + b"{}" + b"]}}" * 100,
        b"[" * 100_000,
    ],
)
def test_what_is_not_one_data_set_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_data_set(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["vr", "Value", "Alphabetic", "00741002", "0074100a"]), inner)
        | st.fixed_dictionaries({"vr": st.sampled_from(["SQ", "PN", "LO"]), "Value": st.lists(inner)})
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["00741002", "0074100a", "00080005"]), JSON))
def test_whatever_is_accepted_can_be_written_and_read_again(loaded: dict[str, object]) -> None:
    try:
        accepted = read_data_set(json.dumps(loaded).encode())
    except InvalidInput:
        return
    written = json.dumps(accepted, ensure_ascii=False, allow_nan=False).encode()
    assert read_data_set(written) == accepted
