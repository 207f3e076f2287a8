"""Reading what a server answers to a store, whatever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom import status as reasons
from dicomdock.dicomweb import store_response
from dicomdock.errors import AuthenticationError, DicomdockError
from tests import builders
from tests.dicomweb.awkward import JSON, Answer, Awkward
from tests.dicomweb.clients import client_of, parts_of
from tests.dicomweb.storing import item

pytestmark = pytest.mark.usefixtures("quick_retries")

FAILED = {
    "00081198": {
        "vr": "SQ",
        "Value": [
            {
                "00081155": {"vr": "UI", "Value": ["1.2.3"]},
                "00081197": {"vr": "US", "Value": [43264]},
                "00741048": {
                    "vr": "SQ",
                    "Value": [
                        {
                            "00000902": {
                                "vr": "LO",
                                "Value": ["DICOM100: (0008,0020) - 'StudyDate' failed\nvalidation of s3cret"],
                            },
                            "00000901": {"vr": "AT", "Value": ["00080020"]},
                        }
                    ],
                },
                "00001005": {"vr": "AT", "Value": ["00100010", 1048592, "(0010,0020)", "nonsense"]},
            }
        ],
    }
}


@pytest.fixture
def head():
    return builders.ct_series(6)


@given(st.binary(max_size=400), st.sampled_from([JSON, "application/dicom+xml", "text/html", ""]))
def test_any_answer_body_can_be_read(body, label):
    assert store_response.read(409, label, body, "pacs").status == 409


@pytest.mark.parametrize("code", [*reasons.REASONS, 0xA701, 0xC001, 0xB123, 99])
def test_every_reason_has_words(code):
    assert reasons.words(code)


@pytest.mark.parametrize("written", [272, "272", 272.0, "0x0110"])
def test_a_reason_is_read_as_number_or_text(written, head):
    body = json.dumps({"00081198": {"vr": "SQ", "Value": [item(head[0], failure=written)]}}).encode()
    assert store_response.read(409, JSON, body, "pacs").results[head[0].instance].reason_code == 272


def test_what_the_server_remarks_of_an_instance_is_reported():
    """Azure names the element and the fault, Kheops the attributes."""
    body = json.dumps(FAILED).encode()
    outcome = store_response.read(
        409, "application/dicom+json", body, "pacs", redact=lambda text: text.replace("s3cret", "***")
    )
    result = outcome.results["1.2.3"]
    assert result.comments == ("DICOM100: (0008,0020) - 'StudyDate' failed validation of ***",)
    assert set(result.attributes) == {"StudyDate", "PatientName", "PatientID"}
    assert "the server found its data set invalid; DICOM100: (0008,0020)" in result.reason
    assert "attributes: PatientName, PatientID, StudyDate" in result.reason


def test_an_error_comment_of_the_whole_answer_is_reported():
    """Where a server explains all failures at once, and where it says in a text that it stored nothing."""
    failed = {"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}
    failed["00000902"] = {"vr": "LO", "Value": ["Disk quota of s3cret exceeded"]}
    outcome = store_response.read(
        409,
        "application/dicom+json",
        json.dumps(failed).encode(),
        "pacs",
        redact=lambda text: text.replace("s3cret", "***"),
    )
    assert outcome.results["1.2.3"].reason == "the server gives no reason; Disk quota of *** exceeded"


@pytest.mark.slow
def test_what_a_server_says_instead_of_a_store_response_is_reported(head, settings):
    answer = Answer(200, b"ERROR: no license", {"Content-Type": "text/plain"})
    with client_of(Awkward(stores=lambda _: answer), settings) as client:
        (result,) = client.store(parts_of(head[:1]))
    assert result.status == "unconfirmed"
    assert result.reason.endswith("it says: ERROR: no license")


def test_a_reason_that_stands_in_the_warning_header_alone_is_reported():
    """dcm4chee writes the first error there."""
    failed = {"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}
    remarks = ("pacs says: Missing Patient ID",)
    outcome = store_response.read(
        409, "application/dicom+json", json.dumps(failed).encode(), "pacs", remarks=remarks
    )
    assert outcome.results["1.2.3"].reason == "the server gives no reason; pacs says: Missing Patient ID"
    assert (
        store_response.read(409, "", b"", "pacs", remarks=remarks).reason
        == "pacs answered 409; " + remarks[0]
    )


@pytest.mark.parametrize("reason", ["NaN", "1e999", "-Infinity", '"' + "9" * 5000 + '"', "[]", "{}"])
def test_no_reason_breaks_the_reading(reason):
    body = '{"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}, '
    body += f'"00081197": {{"vr": "US", "Value": [{reason}]}}}}]}}}}'
    outcome = store_response.read(409, "application/dicom+json", body.encode(), "pacs")
    assert outcome.results["1.2.3"].status == "failed"


def test_an_answer_of_several_data_sets_is_read_whole():
    def named(tag, uid):
        item = {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [272]}}
        return {tag: {"vr": "SQ", "Value": [item]}}

    body = json.dumps([named("00081199", "1.1"), named("00081199", "1.2"), named("00081198", "1.3")])
    outcome = store_response.read(202, "application/dicom+json", body.encode(), "pacs")
    statuses = {uid: one.status for uid, one in outcome.results.items()}
    assert statuses == {"1.1": "stored", "1.2": "stored", "1.3": "failed"}


def test_several_failures_without_a_name_are_all_reported(head, settings):
    items = [
        {"00081197": {"vr": "US", "Value": [code]}, "00000902": {"vr": "LO", "Value": [remark]}}
        for code, remark in ((0xC000, "no UID"), (0xA700, "no room"))
    ]
    body = json.dumps({"0008119A": {"vr": "SQ", "Value": items}}).encode()
    server = Awkward(stores=lambda _: Answer(409, body, {"Content-Type": JSON}))
    with client_of(server, settings) as client:
        results = list(client.store(parts_of(head[:2])))
    assert {one.status for one in results} == {"failed"}
    assert all("no UID" in one.reason and "no room" in one.reason for one in results)
    assert all(one.comments == ("no UID", "no room") for one in results)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "label", "body", "words"),
    [
        (
            409,
            "text/plain; charset=iso-8859-1",
            "Gr\xf6\xdfe ung\xfcltig".encode("latin-1"),
            "Gr\xf6\xdfe ung\xfcltig",
        ),
        (400, "application/json", b'{"errorMessage":"Conflicting PID"}', ": Conflicting PID"),  # dcm4chee
        (400, "application/json", b'[{"error":{"code":400,"message":"no UID"}}]', ": no UID"),  # Google
        (
            400,
            "",
            b'{"Details":"There already","HttpStatus":400,"Message":"Bad file"}',
            ": Bad file; There already",
        ),
        (400, "application/problem+json", b'{"type":"about:blank","detail":"ID too long"}', ": ID too long"),
        (422, "application/json", b'{"errors":["date: no", "time: no"]}', ": date: no; time: no"),
        (400, "application/json", b'{"message":"half \\ud800"}', ": half ?"),
        (400, "application/json", b'{"other":1}', ': {"other":1}'),
        (500, "text/html", b"<html><style>x</style><h1>Disk full</h1><p>on 3</p></html>", ": Disk full on 3"),
        (404, "text/plain", b"no such AE title", "It says: no such AE title"),
        (405, "text/plain", b"a mirror only", "It says: a mirror only"),
        (401, "text/plain", b"locked until noon", "It says: locked until noon"),
    ],
)
def test_whatever_a_server_answers_instead_is_told_in_its_own_words(
    status, label, body, words, head, settings
):
    server = Awkward(stores=lambda _: Answer(status, body, {"Content-Type": label}))
    with client_of(server, settings) as client:
        try:
            told = [one.reason for one in client.store(parts_of(head[:1]))]
        except DicomdockError as error:
            told = [str(error)]
    assert len(told) == 1
    assert words in told[0]


def test_why_a_token_is_refused_is_told(head, settings):
    """RFC 6750 §3."""
    challenge = 'Bearer realm="x", error="invalid_token", error_description="It ended at noon"'
    server = Awkward(stores=lambda _: Answer(401, b"", {"WWW-Authenticate": challenge}))
    with client_of(server, settings) as client, pytest.raises(AuthenticationError, match="It ended at noon"):
        list(client.store(parts_of(head[:1])))


@pytest.mark.parametrize(
    "item",
    [
        {"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00000902": {"Value": ["not so"]}},
        {"00081155": {"vr": "UI", "Value": [""]}, "00081197": {"vr": "LO", "Value": ["not so"]}},
    ],
)
def test_a_failure_without_a_uid_or_with_a_reason_in_words_is_told(item, head, settings):
    if "00081155" in item:
        item["00081155"]["Value"] = [head[0].instance]
    body = json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()
    server = Awkward(stores=lambda _: Answer(409, body, {"Content-Type": JSON}))
    with client_of(server, settings) as client:
        (result,) = client.store(parts_of(head[:1]))
    assert result.status == "failed"
    assert result.comments == ("not so",)
    assert "not so" in result.reason
