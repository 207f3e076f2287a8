"""The Store transaction: batches, answers of every kind, and the outcome of each instance."""

import json
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import ServerProfile
from dicomdock.dicom import status as reasons
from dicomdock.dicomweb import store_response
from dicomdock.dicomweb.client import Client
from dicomdock.errors import AuthenticationError, DicomdockError, RemoteNotFound, UnsupportedByServer
from dicomdock.sources import Part
from tests import builders
from tests.dicomweb.awkward import JSON, Answer, Awkward, refused
from tests.dicomweb.clients import client_of, orthanc_client, parts_of
from tests.waiting import join

pytestmark = pytest.mark.usefixtures("quick_retries")


def part(instance, *, known=True):
    """Give an instance as it comes from the wire: once."""
    chunks = iter([instance.data[:100], instance.data[100:]])
    return Part("application/dicom", lambda: chunks, resource=instance.resource if known else None)


def by_uid(results):
    return {result.sop_instance_uid: result for result in results}


def statuses(results, instances):
    found = by_uid(results)
    assert len(found) == len(instances)
    return [found[one.instance].status for one in instances]


def item(instance, **reason):
    tags = {"failure": "00081197", "warning": "00081196"}
    value = {"00081155": {"vr": "UI", "Value": [instance.instance]}}
    value.update({tags[name]: {"vr": "US", "Value": [code]} for name, code in reason.items()})
    return value


def told(stored=(), failed=(), others=(), status=200):
    body = {}
    for tag, items in (("00081199", stored), ("00081198", failed), ("0008119A", others)):
        if items:
            body[tag] = {"vr": "SQ", "Value": list(items)}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": JSON})


@pytest.fixture
def head():
    return builders.ct_series(6)


def small(settings, count=2):
    """Settings whose batches hold so many small instances."""
    return replace(settings, store_batch=count * 2100, store_workers=2)


def test_instances_arrive_byte_by_byte_in_bounded_batches(head, settings):
    sizes = []

    def stores(sent):
        sizes.append(sum(len(one.data) for one in sent))
        server.keep(sent)
        return told([item(one) for one in sent])

    server = Awkward(stores=stores)
    limit = 2 * len(head[0].data) + 10
    with client_of(server, replace(settings, store_batch=limit)) as client:
        results = list(client.store(part(one, known=False) for one in head))
    assert statuses(results, head) == ["stored"] * 6
    assert {one.instance: one.data for one in server.instances} == {one.instance: one.data for one in head}
    assert len(sizes) == 3
    assert max(sizes) <= limit


def test_a_file_larger_than_the_batch_is_sent_alone(head, settings, tmp_path):
    server = Awkward(stores=lambda sent: told([item(one) for one in sent]))
    files = builders.write(tmp_path / "files", head)
    with client_of(server, replace(settings, store_batch=10)) as client:
        results = list(client.store(map(Part.from_file, files)))
    assert statuses(results, head) == ["stored"] * 6
    assert len(server.asked) == 6


def test_batches_are_sent_side_by_side(head, settings):
    together = threading.Barrier(3, timeout=60)

    def reply(request):
        together.wait()
        return told([item(one) for one in head])

    with client_of(reply, replace(settings, store_batch=10, store_workers=3)) as client:
        assert statuses(client.store(map(part, head)), head) == ["stored"] * 6


def test_spooled_parts_leave_nothing_behind(head, settings):
    server = Awkward(stores=lambda sent: told([item(one) for one in sent]))
    with client_of(server, small(settings)) as client:
        results = client.store(map(part, head))
        next(results)
        assert list(settings.state.rglob("*.dcm"))
        results.close()
    assert not list(settings.state.rglob("*"))


@pytest.mark.parametrize("status", [200, 202, 400, 409])
def test_the_answer_is_read_for_every_status(status, head, settings):
    answer = told(
        [item(head[0]), item(head[1], warning=0xB000)],
        [item(head[2], failure=0x0122), item(head[3], failure="43264"), item(head[4], failure=0x0111)],
        status=status,
    )
    with client_of(lambda _: answer, settings) as client:
        found = by_uid(client.store(map(part, head[:5])))
    assert [found[one.instance].status for one in head[:5]] == [
        "stored",
        "warning",
        "failed",
        "failed",
        "duplicate",
    ]
    assert found[head[2].instance].reason_code == 0x0122
    assert "SOP class" in found[head[2].instance].reason
    assert "invalid" in found[head[3].instance].reason


def test_an_xml_answer_is_read_alike(head, settings):
    def element(tag, instance, reason=""):
        return (
            f'<DicomAttribute tag="{tag}" vr="SQ"><Item number="1"><DicomAttribute tag="00081155" vr="UI">'
            f"<Value number='1'>{instance.instance}</Value></DicomAttribute>{reason}</Item></DicomAttribute>"
        )

    why = '<DicomAttribute tag="00081197" vr="US"><Value number="1">272</Value></DicomAttribute>'
    inside = element("00081199", head[0]) + element("00081198", head[1], why)
    body = f"<NativeDicomModel>{inside}</NativeDicomModel>"

    def stores(_):
        return Answer(409, body.encode(), {"Content-Type": "application/dicom+xml"})

    with client_of(Awkward(stores=stores), settings) as client:
        assert statuses(client.store(map(part, head[:2])), head[:2]) == ["stored", "failed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", [Answer(200, b"success", {"Content-Type": "text/plain"}), Answer(200), refused(204)]
)
def test_what_an_answer_does_not_mention_is_looked_up(answer, head, settings):
    def stores(sent):
        server.keep(sent[:-1])
        return answer

    server = Awkward(stores=stores)
    with client_of(server, settings) as client:
        results = by_uid(client.store(map(part, head[:3])))
    assert [results[one.instance].status for one in head[:3]] == ["stored", "stored", "unconfirmed"]


def test_an_instance_dropped_by_a_200_is_failed(head, settings):
    def stores(sent):
        server.keep(sent[1:])
        return told([item(one) for one in sent[1:]])

    server = Awkward(stores=stores)
    with client_of(server, settings) as client:
        results = list(client.store(map(part, head[:3])))
    assert statuses(results, head[:3]) == ["failed", "stored", "stored"]


@pytest.mark.slow
def test_a_slow_index_is_looked_at_again(head, settings):
    class Slow(Awkward):
        looks = 0

        def search(self, path, query):
            self.looks += 1
            return super().search(path, query) if self.looks > 1 else refused(204)

    server = Slow(stores=lambda sent: [server.keep(sent), Answer(200, b"success")][1])
    with client_of(server, settings) as client:
        assert statuses(client.store([part(head[0])]), head[:1]) == ["stored"]


def test_without_a_search_what_is_not_mentioned_stays_unconfirmed(head, settings):
    server = Awkward(stores=lambda _: Answer(200))
    server.search = lambda *_: refused(403)
    with client_of(server, settings) as client:
        assert statuses(client.store([part(head[0])]), head[:1]) == ["unconfirmed"]


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 409, 500])
def test_a_failed_batch_is_sent_again_one_by_one(status, head, settings):
    """Part of it was stored although the whole was refused; one instance is really bad."""

    def stores(sent):
        server.keep([one for one in sent if one.instance != head[2].instance])
        if any(one.instance == head[2].instance for one in sent):
            return refused(status)
        return told([item(one) for one in sent])

    server = Awkward(stores=stores)
    with client_of(server, settings) as client:
        results = list(client.store(map(part, head)))
    assert statuses(results, head) == ["stored", "stored", "failed", "stored", "stored", "stored"]
    assert str(status) in by_uid(results)[head[2].instance].reason


def test_reasons_given_with_a_failed_batch_are_final(head, settings):
    answer = told([item(one) for one in head[1:]], [item(head[0], failure=0xC000)], status=409)
    server = Awkward(stores=lambda _: answer)
    with client_of(server, settings) as client:
        assert statuses(client.store(map(part, head)), head) == ["failed", *["stored"] * 5]
    assert len(server.asked) == 1


def test_a_bare_409_of_what_is_there_is_a_duplicate(head, settings):
    server = Awkward(head[:1], stores=lambda _: refused(409))
    with client_of(server, settings) as client:
        assert statuses(client.store(map(part, head[:2])), head[:2]) == ["duplicate", "failed"]


def test_a_general_failure_of_what_is_there_is_a_duplicate(head, settings):
    server = Awkward(
        head[:1], stores=lambda sent: told((), [item(one, failure=272) for one in sent], status=409)
    )
    with client_of(server, settings) as client:
        results = list(client.store(map(part, head[:2])))
    assert statuses(results, head[:2]) == ["duplicate", "failed"]
    assert by_uid(results)[head[1].instance].reason_code == 272


def test_failures_that_name_no_instance_belong_to_those_not_mentioned(head, settings):
    reason = {"00081197": {"vr": "US", "Value": [0xA700]}}
    server = Awkward(stores=lambda sent: told([item(one) for one in sent[1:]], others=[reason], status=202))
    with client_of(server, settings) as client:
        found = by_uid(client.store(map(part, head[:2])))
    assert found[head[0].instance].reason_code == 0xA700
    assert "room" in found[head[0].instance].reason


def test_too_large_is_split_until_it_fits(head, settings):
    def stores(sent):
        if len(sent) > 2 or any(one.instance == head[5].instance for one in sent):
            return refused(413)
        return told([item(one) for one in sent])

    with client_of(Awkward(stores=stores), settings) as client:
        results = list(client.store(map(part, head)))
    assert statuses(results, head) == [*["stored"] * 5, "failed"]
    assert "413" in by_uid(results)[head[5].instance].reason


def test_a_connection_cut_in_the_answer_loses_nothing(head, settings):
    """The whole batch is stored, but the answer never comes; sent one by one the server answers."""

    def stores(sent):
        server.keep(sent)
        if len(sent) > 1:
            return Answer(200, b"{", {"Content-Length": "500", "Content-Type": JSON})
        return told([item(one) for one in sent])

    server = Awkward(stores=stores)
    with client_of(server, settings) as client:
        assert statuses(client.store(map(part, head)), head) == ["stored"] * 6


@pytest.mark.slow
def test_a_lost_answer_to_a_single_instance_is_looked_up(head, settings):
    def stores(sent):
        server.keep(sent[:1] if sent[0].instance == head[0].instance else [])
        return Answer(200, b"{", {"Content-Length": "500", "Content-Type": JSON})

    server = Awkward(stores=stores)
    with client_of(server, settings) as client:
        assert statuses(client.store(map(part, head[:2])), head[:2]) == ["stored", "failed"]


def test_a_server_that_is_gone_fails_every_instance(head, settings):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    profile = ServerProfile("gone", url, dialect=replace(Dialect(), store_batch=1))
    with Client(profile, settings=replace(settings, retries=0)) as client:
        results = list(client.store(map(part, head[:1])))
    assert [result.status for result in results] == ["failed"]
    assert "127.0.0.1" in results[0].reason


@pytest.mark.slow
def test_a_server_that_goes_away_is_not_asked_for_every_instance(head, settings):
    """The connection is cut at the first batch, and nobody answers afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        accepted = []

        def cut():
            connection, _ = listening.accept()
            accepted.append(connection.recv(100))
            listening.close()
            connection.close()

        thread = threading.Thread(target=cut, daemon=True)
        thread.start()
        with Client(ServerProfile("gone", url), settings=replace(settings, retries=0)) as client:
            started = time.monotonic()
            results = list(client.store(map(part, builders.ct_series(40))))
        join(thread)
    assert [result.status for result in results] == ["failed"] * 40
    assert time.monotonic() - started < 40  # not once for each instance


def test_a_refused_login_ends_the_upload(head, settings):
    with client_of(lambda _: refused(401), settings) as client, pytest.raises(AuthenticationError):
        list(client.store(map(part, head)))


def test_what_was_stored_before_the_login_ran_out_is_reported(head, settings):
    def stores(sent):
        late = any(one.instance == head[3].instance for one in sent)
        return refused(401) if late else told([item(one) for one in sent])

    got = []
    server = client_of(Awkward(stores=stores), replace(settings, store_batch=10, store_workers=2))
    with server as client, pytest.raises(AuthenticationError):
        for result in client.store(map(part, head)):
            got.append(result)
    assert {head[index].instance for index in range(3)} <= {result.sop_instance_uid for result in got}


@pytest.mark.parametrize(
    ("status", "error"), [(405, UnsupportedByServer), (501, UnsupportedByServer), (404, RemoteNotFound)]
)
def test_a_server_without_uploads_is_reported(status, error, head, settings):
    with client_of(lambda _: refused(status), settings) as client, pytest.raises(error):
        list(client.store(map(part, head)))


def test_a_dialect_without_uploads_asks_nothing(head, settings):
    server = Awkward()
    with client_of(server, settings, store=False) as client, pytest.raises(UnsupportedByServer):
        list(client.store(map(part, head)))
    assert server.asked == []


def test_what_is_not_an_instance_is_not_sent(head, settings, tmp_path):
    junk = tmp_path / "junk.dcm"
    junk.write_bytes(b"\0" * 128 + b"DICMjunk")
    server = Awkward(stores=lambda sent: told([item(one) for one in sent]))
    with client_of(server, settings) as client:
        results = list(client.store([Part.from_file(junk), part(head[0], known=False)]))
    assert [result.status for result in results] == ["failed", "stored"]
    assert "junk.dcm" in results[0].reason


def test_another_studys_instance_is_not_sent(head, settings):
    other = builders.ct_series(1)
    server = Awkward(stores=lambda sent: told([item(one) for one in sent]))
    with client_of(server, settings) as client:
        results = list(client.store(map(part, [*other, head[0]]), study=head[0].study))
    assert statuses(results, [other[0], head[0]]) == ["failed", "stored"]
    assert server.asked[0].path == f"/studies/{head[0].study}"


def test_the_same_uid_twice_goes_in_two_batches(head, settings):
    twin = builders.changed(head[0], SeriesInstanceUID="1.2.3")
    server = Awkward(stores=lambda sent: told([item(one) for one in sent]))
    with client_of(server, settings) as client:
        assert [result.status for result in client.store(map(part, [head[0], twin]))] == ["stored", "stored"]
    assert len(server.asked) == 2


def test_nothing_to_send_asks_nothing(settings):
    server = Awkward()
    with client_of(server, settings) as client:
        assert list(client.store([])) == []
    assert server.asked == []


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


def test_real_orthanc_stores_and_gives_back_the_same_bytes(orthanc, settings):
    made = builders.ct_series(7)
    with orthanc_client(orthanc, settings, store_batch=3 * len(made[0].data)) as client:
        assert statuses(client.store(map(part, made)), made) == ["stored"] * 7
        back = {
            part.resource: b"".join(part.chunks()) for one in made for part in client.retrieve(one.resource)
        }
        # A duplicate is answered like a success, and the first copy is kept.
        assert statuses(client.store(map(part, made[:1])), made[:1]) == ["stored"]
    assert back == {one.resource: one.data for one in made}


def test_real_orthanc_refuses_a_batch_of_which_it_stored_the_good(orthanc, settings, tmp_path):
    """One broken instance turns the whole answer to 400; the others are sent again alone."""
    made = builders.ct_series(3)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + b"no data set")
    bad = Part.from_file(Path(broken), resource=builders.ct_series(1)[0].resource)
    with orthanc_client(orthanc, settings) as client:
        results = list(client.store([*map(part, made), bad]))
    assert statuses(results[:3], made) == ["stored"] * 3
    assert results[3].status == "failed"
    assert orthanc.instance_count() == 3


def test_real_tiny_pacs_says_duplicates(tiny_pacs, settings):
    made = builders.ct_series(2)
    with Client(ServerProfile("tiny", tiny_pacs.url), settings=settings) as client:
        assert statuses(client.store([part(made[0])]), made[:1]) == ["stored"]
        assert statuses(client.store(map(part, made)), made) == ["duplicate", "stored"]


# ---- the server's own remarks


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
