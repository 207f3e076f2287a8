"""The Store transaction: batches, answers of every kind, and the outcome of each instance."""

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb.client import Client
from dicomdock.errors import AuthenticationError, RemoteNotFound, UnsupportedByServer
from dicomdock.sources import Part
from tests import builders
from tests.dicomweb.awkward import JSON, Answer, Awkward, refused
from tests.dicomweb.clients import client_of, orthanc_client
from tests.dicomweb.storing import by_uid, item, part, small, statuses, store_answer
from tests.waiting import join

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def head():
    return builders.ct_series(6)


def test_instances_arrive_byte_by_byte_in_bounded_batches(head, settings):
    sizes = []

    def stores(sent):
        sizes.append(sum(len(one.data) for one in sent))
        server.keep(sent)
        return store_answer([item(one) for one in sent])

    server = Awkward(stores=stores)
    limit = 2 * len(head[0].data) + 10
    with client_of(server, replace(settings, store_batch=limit)) as client:
        results = list(client.store(part(one, known=False) for one in head))
    assert statuses(results, head) == ["stored"] * 6
    assert {one.instance: one.data for one in server.instances} == {one.instance: one.data for one in head}
    assert len(sizes) == 3
    assert max(sizes) <= limit


def test_a_file_larger_than_the_batch_is_sent_alone(head, settings, tmp_path):
    server = Awkward(stores=lambda sent: store_answer([item(one) for one in sent]))
    files = builders.write(tmp_path / "files", head)
    with client_of(server, replace(settings, store_batch=10)) as client:
        results = list(client.store(map(Part.from_file, files)))
    assert statuses(results, head) == ["stored"] * 6
    assert len(server.asked) == 6


def test_batches_are_sent_side_by_side(head, settings):
    together = threading.Barrier(3, timeout=60)

    def reply(request):
        together.wait()
        return store_answer([item(one) for one in head])

    with client_of(reply, replace(settings, store_batch=10, store_workers=3)) as client:
        assert statuses(client.store(map(part, head)), head) == ["stored"] * 6


def test_spooled_parts_leave_nothing_behind(head, settings):
    server = Awkward(stores=lambda sent: store_answer([item(one) for one in sent]))
    with client_of(server, small(settings)) as client:
        results = client.store(map(part, head))
        next(results)
        assert list(settings.state.rglob("*.dcm"))
        results.close()
    assert not list(settings.state.rglob("*"))


@pytest.mark.parametrize("status", [200, 202, 400, 409])
def test_the_answer_is_read_for_every_status(status, head, settings):
    answer = store_answer(
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
        return store_answer([item(one) for one in sent[1:]])

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
        return store_answer([item(one) for one in sent])

    server = Awkward(stores=stores)
    with client_of(server, settings) as client:
        results = list(client.store(map(part, head)))
    assert statuses(results, head) == ["stored", "stored", "failed", "stored", "stored", "stored"]
    assert str(status) in by_uid(results)[head[2].instance].reason


def test_reasons_given_with_a_failed_batch_are_final(head, settings):
    answer = store_answer([item(one) for one in head[1:]], [item(head[0], failure=0xC000)], status=409)
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
        head[:1], stores=lambda sent: store_answer((), [item(one, failure=272) for one in sent], status=409)
    )
    with client_of(server, settings) as client:
        results = list(client.store(map(part, head[:2])))
    assert statuses(results, head[:2]) == ["duplicate", "failed"]
    assert by_uid(results)[head[1].instance].reason_code == 272


def test_failures_that_name_no_instance_belong_to_those_not_mentioned(head, settings):
    reason = {"00081197": {"vr": "US", "Value": [0xA700]}}
    server = Awkward(
        stores=lambda sent: store_answer([item(one) for one in sent[1:]], others=[reason], status=202)
    )
    with client_of(server, settings) as client:
        found = by_uid(client.store(map(part, head[:2])))
    assert found[head[0].instance].reason_code == 0xA700
    assert "room" in found[head[0].instance].reason


def test_too_large_is_split_until_it_fits(head, settings):
    def stores(sent):
        if len(sent) > 2 or any(one.instance == head[5].instance for one in sent):
            return refused(413)
        return store_answer([item(one) for one in sent])

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
        return store_answer([item(one) for one in sent])

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
        return refused(401) if late else store_answer([item(one) for one in sent])

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
    server = Awkward(stores=lambda sent: store_answer([item(one) for one in sent]))
    with client_of(server, settings) as client:
        results = list(client.store([Part.from_file(junk), part(head[0], known=False)]))
    assert [result.status for result in results] == ["failed", "stored"]
    assert "junk.dcm" in results[0].reason


def test_another_studys_instance_is_not_sent(head, settings):
    other = builders.ct_series(1)
    server = Awkward(stores=lambda sent: store_answer([item(one) for one in sent]))
    with client_of(server, settings) as client:
        results = list(client.store(map(part, [*other, head[0]]), study=head[0].study))
    assert statuses(results, [other[0], head[0]]) == ["failed", "stored"]
    assert server.asked[0].path == f"/studies/{head[0].study}"


def test_the_same_uid_twice_goes_in_two_batches(head, settings):
    twin = builders.changed(head[0], SeriesInstanceUID="1.2.3")
    server = Awkward(stores=lambda sent: store_answer([item(one) for one in sent]))
    with client_of(server, settings) as client:
        assert [result.status for result in client.store(map(part, [head[0], twin]))] == ["stored", "stored"]
    assert len(server.asked) == 2


def test_nothing_to_send_asks_nothing(settings):
    server = Awkward()
    with client_of(server, settings) as client:
        assert list(client.store([])) == []
    assert server.asked == []


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
