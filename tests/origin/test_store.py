"""STOW-RS and DELETE: each instance gets its answer, whatever comes with it."""

from pathlib import Path

import pytest
from pydicom.data.data_manager import DATA_ROOT

from dicomdock.sources import Part
from dicomdock.web.multipart.writer import MultipartBody
from tests import builders

JSON = "application/dicom+json"
ANY = "application/dicom; transfer-syntax=*"


def part(data, content_type="application/dicom"):
    return Part(content_type, lambda: iter((data,)), length=len(data))


def push(server, *instances, path="/dicom-web/studies"):
    body = MultipartBody([part(data) for data in instances])
    content = b"".join(body.chunks())
    return server.ask(path, JSON, "POST", body=content, headers={"Content-Type": body.content_type})


def items(answer, tag):
    return answer.get(tag, {}).get("Value", [])


def uid(item):
    return item["00081155"]["Value"][0]


def reasons(answer, tag):
    return [item["00081197"]["Value"][0] for item in items(answer, tag)]


STORED, FAILED, UNREADABLE = "00081199", "00081198", "0008119A"


def test_every_instance_is_confirmed_with_its_class_and_place(server):
    stored = builders.ct_series(3)
    response = push(server, *(made.data for made in stored))
    assert response.status == 200
    assert response.headers["Content-Type"] == JSON
    answer = response.json()
    assert {uid(item) for item in items(answer, STORED)} == {made.instance for made in stored}
    assert not items(answer, FAILED)
    for item in items(answer, STORED):
        assert item["00081150"]["Value"] == [stored[0].dataset.SOPClassUID]
        address = item["00081190"]["Value"][0]
        made = next(made for made in stored if made.instance == uid(item))
        assert server.ask(address.removeprefix(server.root), ANY).data == made.data


def test_storing_the_same_again_changes_nothing_and_is_no_failure(server):
    (made,) = builders.ct_series(1)
    assert push(server, made.data).status == 200
    again = push(server, made.data)
    assert again.status == 200
    assert [uid(item) for item in items(again.json(), STORED)] == [made.instance]


def test_other_bytes_under_a_known_uid_are_refused_and_the_first_kept(server):
    (made,) = builders.ct_series(1)
    push(server, made.data)
    response = push(server, builders.changed(made, PatientComments="other").data)
    assert response.status == 409
    assert [uid(item) for item in items(response.json(), FAILED)] == [made.instance]
    assert server.ask(f"/dicom-web{made.resource.path}", ANY).data == made.data


def test_good_and_bad_in_one_request_get_their_own_answers(server):
    good = builders.ct_series(2)
    response = push(server, good[0].data, b"this is no DICOM", good[1].data)
    assert response.status == 202
    answer = response.json()
    assert {uid(item) for item in items(answer, STORED)} == {made.instance for made in good}
    assert len(reasons(answer, UNREADABLE)) == 1


def test_an_instance_of_another_study_is_refused_where_the_path_names_one(server):
    mine, other = builders.ct_series(1)[0], builders.ct_series(1)[0]
    response = push(server, mine.data, other.data, path=f"/dicom-web/studies/{mine.study}")
    assert response.status == 202
    answer = response.json()
    assert [uid(item) for item in items(answer, STORED)] == [mine.instance]
    assert [uid(item) for item in items(answer, FAILED)] == [other.instance]
    assert answer["00081190"]["Value"] == [f"{server.url}/studies/{mine.study}"]


def test_one_bare_instance_is_taken(server):
    (made,) = builders.ct_series(1)
    response = server.ask(
        "/dicom-web/studies", JSON, "POST", body=made.data, headers={"Content-Type": "application/dicom"}
    )
    assert response.status == 200
    assert server.ask(f"/dicom-web{made.resource.path}", ANY).data == made.data


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/zip",
        'multipart/related; type="application/dicom+json"; boundary=x',
        "multipart/form-data; boundary=x",
    ],
)
def test_other_media_types_are_refused(server, content_type):
    response = server.ask(
        "/dicom-web/studies",
        JSON,
        "POST",
        body=b"--x\r\n\r\n1\r\n--x--",
        headers={"Content-Type": content_type},
    )
    assert response.status == 415


@pytest.mark.parametrize("body", [b"", b"--x--\r\n", b"nothing of the kind"])
def test_a_request_without_instances_is_a_bad_request(server, body):
    response = server.ask(
        "/dicom-web/studies",
        JSON,
        "POST",
        body=body,
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'},
    )
    assert response.status == 400
    assert response.data.decode().rstrip().endswith(".")


def test_a_body_that_breaks_off_still_tells_what_was_stored(server):
    stored = builders.ct_series(2)
    body = MultipartBody([part(made.data) for made in stored])
    content = b"".join(body.chunks())[: -(len(stored[1].data) // 2)]
    response = server.ask(
        "/dicom-web/studies", JSON, "POST", body=content, headers={"Content-Type": body.content_type}
    )
    assert response.status == 202
    assert [uid(item) for item in items(response.json(), STORED)] == [stored[0].instance]
    assert len(reasons(response.json(), UNREADABLE)) == 1
    assert server.ask(f"/dicom-web{stored[0].resource.path}", ANY).data == stored[0].data
    assert server.ask(f"/dicom-web{stored[1].resource.path}", ANY).status == 404


def test_deleting_takes_what_the_path_names_and_nothing_else(server):
    first, second = builders.ct_series(2), builders.mr_series(1)
    push(server, *(made.data for made in (*first, *second)))
    assert server.ask(f"/dicom-web{first[0].resource.path}", method="DELETE").status == 204
    assert server.ask(f"/dicom-web{first[0].resource.path}", ANY).status == 404
    assert server.ask(f"/dicom-web{first[1].resource.path}", ANY).status == 200
    assert server.ask(f"/dicom-web/studies/{first[0].study}", method="DELETE").status == 204
    assert server.ask(f"/dicom-web/studies/{first[0].study}", method="DELETE").status == 404
    assert server.ask(f"/dicom-web{second[0].resource.path}", ANY).status == 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_file_of_pydicom_comes_back_byte_for_byte(server):
    taken = 0
    for file in sorted(Path(DATA_ROOT, "test_files").rglob("*.dcm")):
        data = file.read_bytes()
        answer = push(server, data)
        assert answer.status in (200, 409), (file.name, answer.data)
        for stored in items(answer.json(), STORED):
            address = stored["00081190"]["Value"][0].removeprefix(server.root)
            assert server.ask(address, ANY).data == data, file.name
            # Many hold the same instance in different encodings.
            assert server.ask(address, method="DELETE").status == 204
            taken += 1
    assert taken > 60


def test_an_answer_names_the_study_where_there_is_one_and_its_character_set(server):
    one, other = builders.ct_series(1)[0], builders.document()
    answer = push(server, one.data).json()
    assert answer["00081190"] == {"vr": "UR", "Value": [f"{server.url}/studies/{one.study}"]}
    assert answer["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert FAILED not in answer  # type 1C: only where something failed (PS3.18 Table I.1-1)
    both = push(server, one.data, other.data).json()
    assert both["00081190"] == {"vr": "UR"}  # type 2: of which study?
    none = push(server, b"no DICOM").json()
    assert none["00081190"] == {"vr": "UR"}
    assert STORED not in none


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x"])
def test_a_coded_body_is_refused_as_such(server, coding):
    headers = {"Content-Type": "multipart/related; type=application/dicom; boundary=x"}
    refused = server.ask(
        "/dicom-web/studies",
        JSON,
        "POST",
        body=b"\x1f\x8b" + bytes(100),
        headers={**headers, "Content-Encoding": coding},
    )
    assert refused.status == 415
    assert coding in refused.data.decode()
    assert "server" not in refused.data.decode()


@pytest.mark.parametrize(
    "body", [b"", b"nothing of multipart", b"--x", b"--x\r\n\r\nhalf", b"--y\r\n\r\n\r\n--y--"]
)
def test_what_is_wrong_with_a_request_is_not_said_of_a_servers_answer(server, body):
    headers = {"Content-Type": "multipart/related; type=application/dicom; boundary=x"}
    refused = server.ask("/dicom-web/studies", JSON, "POST", body=body, headers=headers)
    assert refused.status in (400, 409)
    assert "server" not in refused.data.decode()
    assert "answer" not in refused.data.decode()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The request's multipart body is empty."),
        (b"no boundary", "its boundary is nowhere in it"),
        (
            b"--xx\r\n" + b"A: " + b"b" * 70_000,
            "The headers of a part are too long; this is not a multipart request.",
        ),
        (b"--xx\r\nContent-Type: application/dicom\r\n", "The request's body ended before it was complete"),
    ],
)
def test_what_is_wrong_with_a_body_is_blamed_on_the_request(server, body, sentence):
    response = server.ask(
        "/dicom-web/studies",
        "application/dicom+json",
        "POST",
        body=body,
        headers={"Content-Type": "multipart/related; type=application/dicom; boundary=xx"},
    )
    assert response.status == 400
    text = response.data.decode()
    assert sentence in text
    assert "answer" not in text
    assert "server" not in text
