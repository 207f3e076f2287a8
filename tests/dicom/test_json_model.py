"""DICOM JSON answers as servers really give them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom import json_model, json_text
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.errors import WireError

STUDY = {"0020000D": {"vr": "UI", "Value": ["1.2"]}}


def encoded(value) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"[]", b"\xef\xbb\xbf[]"])
def test_nothing_is_an_empty_list(body):
    assert json_model.parse(body, "application/dicom+json") == []


@pytest.mark.parametrize(
    "label", ["application/dicom+json", "Application/JSON; charset=UTF-8", "text/plain", ""]
)
def test_the_label_does_not_matter_when_the_body_is_json(label):
    assert json_model.parse(encoded([STUDY]), label) == [STUDY]


def test_one_object_instead_of_a_list_is_one_data_set():
    assert json_model.parse(encoded(STUDY)) == [STUDY]


def test_lower_case_tags_and_bare_values_are_put_right():
    found = json_model.parse(
        encoded([{"0020000d": {"vr": "UI", "Value": "1.2"}, "note": "x", "00100010": 3}])
    )
    assert found == [STUDY]


def test_values_inside_sequences_are_put_right_too():
    sent = {"00081199": {"vr": "SQ", "Value": {"00081155": {"vr": "UI", "Value": "1.9"}}}}
    (found,) = json_model.parse(encoded(sent))
    (item,) = json_model.items(found, "00081199")
    assert json_model.text(item, "00081155") == "1.9"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"),
        (b"<html>Sign in", "login page"),
        (b'<?xml version="1.0"?><NativeDicomModel/>', "XML"),
        (b"--boundary\r\n", "multipart"),
        (b"success", "b'success'"),
        (b'[{"0020000D": ', "broken"),
        (b'["1c3a-9b", "77aa-01"]', "base URL"),
    ],
)
def test_what_is_not_dicom_json_is_reported(body, said):
    with pytest.raises(WireError, match=said.replace("(", r"\(")):
        json_model.parse(body, "text/html", what="the search for studies")


JSON_LIKE = st.text('[]{},:"\\ u0dEe+-.1tn\n', max_size=40) | st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
).map(json.dumps)


@pytest.mark.slow
@given(JSON_LIKE, st.sampled_from(["", "]", ",", " ", "[", "1", "\n", "\0", "}"]), st.booleans())
def test_a_list_that_is_decoded_item_by_item_is_what_the_library_decodes(text, behind, in_list):
    text = (f"[{text},{text} , 1]" if in_list else text) + behind
    try:
        expected = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        with pytest.raises((ValueError, RecursionError)):
            json_text._decoded(text)
    else:
        assert json_text._decoded(text.strip(json_text.BLANK)) == expected


def test_endless_nesting_is_an_error_and_no_crash():
    with pytest.raises(WireError):
        json_model.parse(b"[" * 200_000)
    deep: dict = {}
    for _ in range(60):
        deep = {"00081199": {"vr": "SQ", "Value": [deep]}}
    with pytest.raises(WireError, match="nests"):
        json_model.parse(encoded(deep))


@pytest.mark.slow
@given(st.binary(max_size=300))
def test_any_bytes_give_data_sets_or_a_wire_error(body):
    try:
        found = json_model.parse(body)
    except WireError:
        return
    assert all(isinstance(item, dict) for item in found)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["0020000D", "vr", "Value", "Alphabetic", "SQ"]), inner, max_size=3
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_can_be_read_and_flattened(value):
    try:
        found = json_model.parse(encoded(value))
    except WireError:
        return
    for item in found:
        json.dumps(json_model.flatten(item))
        resource_in(item)


def test_flattened_by_keyword_for_people():
    assert json_model.flatten(
        {
            "0020000D": {"vr": "UI", "Value": ["1.2"]},
            "00080061": {"vr": "CS", "Value": ["CT", "SEG"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
            "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Ito^K", "Ideographic": "伊藤"}]},
            "00081030": {"vr": "LO"},
            "7FE00010": {"vr": "OW", "BulkDataURI": "bulk/1"},
            "00281201": {"vr": "OW", "InlineBinary": "AAEC"},
            "00400275": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["Head"]}}]},
            "00091001": {"vr": "LO", "Value": ["private"]},
        }
    ) == {
        "StudyInstanceUID": "1.2",
        "ModalitiesInStudy": ["CT", "SEG"],
        "PatientName": "Doe^Jane",
        "ReferringPhysicianName": {"Alphabetic": "Ito^K", "Ideographic": "伊藤"},
        "StudyDescription": None,
        "PixelData": {"BulkDataURI": "bulk/1"},
        "RedPaletteColorLookupTableData": "AAEC",
        "RequestAttributesSequence": [{"ScheduledProcedureStepDescription": "Head"}],
        "00091001": "private",
    }


def test_the_place_takes_what_is_left_out_from_the_path():
    instance = {"00080018": {"vr": "UI", "Value": ["1.4"]}}
    assert resource_in(instance, within=Resource("1.2", "1.3")) == Resource("1.2", "1.3", "1.4")
    assert resource_in(instance) is None
    assert resource_in({"0020000D": {"vr": "UI", "Value": ["../../etc"]}}) is None
