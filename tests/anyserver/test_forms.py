"""Awkward servers of many forms, by the commands that a user types."""

from __future__ import annotations

import pytest

from dicomdock.dicom.resource import Resource
from tests.builders import ct_series, mr_series
from tests.dicomweb.awkward import Awkward, studies
from tests.servers import forms
from tests.servers.canned import answering
from tests.servers.forms import Digest, Latin, ListsAsWritten, Remarking, Sticky, with_long_uid


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("level", ["series", "instance"])
@pytest.mark.parametrize(("uid", "code"), [(forms.LONG, 0), ("1.2/../3", 3), ("1." + "2" * 300, 3)])
def test_one_odd_uid_stops_no_pull(level, uid, code, run):
    server, plain = with_long_uid(level, uid)
    with answering(server) as canned:
        assert run("server", "add", "s", canned.url).code == 0
        pulled = run("pull", plain[0].study, "--server", "s", "--json")
    assert pulled.code == code, pulled.err
    assert pulled.json["instances"]["received"] == (7 if code == 0 else 6)
    if code:
        assert "cannot be used as a DICOM UID" in pulled.json["missing"][0]["reason"]


@pytest.mark.parametrize("modalities", ["CT\\MR", "CT,MR"])
def test_two_modalities_are_both_found(modalities, run):
    made = [*ct_series(1, ModalitiesInStudy="CT"), *mr_series(1, ModalitiesInStudy="MR")]
    with answering(ListsAsWritten(made)) as canned:
        assert run("server", "add", "s", canned.url).code == 0
        found = run("search", f"ModalitiesInStudy={modalities}", "--server", "s", "--json")
    assert found.code == 0, found.err
    assert len(found.json["matches"]) == 2


def test_one_letter_that_is_not_unicode_hides_no_study(run):
    with answering(Latin(studies(3))) as canned:
        assert run("server", "add", "s", canned.url).code == 0
        found = run("search", "--server", "s", "--json")
    assert found.code == 0, found.err
    assert len(found.json["matches"]) == 3
    assert "not UTF-8" in str(found.json["warnings"])


def test_what_a_server_remarks_of_a_file_is_reported_in_text_and_json(run, tmp_path):
    file = tmp_path / "one.dcm"
    file.write_bytes(ct_series(1)[0].data)
    with answering(Remarking()) as canned:
        assert run("server", "add", "s", canned.url).code == 0
        pushed = run("push", file, "--server", "s")
        as_json = run("push", file, "--server", "s", "--json")
    assert "DICOM100: (0008,0020) - 'StudyDate' failed validation" in pushed.out + pushed.err
    assert as_json.json["results"][0]["comments"] == ["DICOM100: (0008,0020) - 'StudyDate' failed validation"]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
def test_a_digest_login_needs_no_option(mark, run):
    made = ct_series(2)
    with answering(Digest(Awkward(made))) as canned:
        added = run(
            "server", "add", "s", canned.url, "--user", "alice", "--password-stdin", stdin=f"{mark}se:cret\n"
        )
        assert added.code == 0, added.err
        assert run("pull", made[0].study, "--server", "s").code == 0


def test_a_server_that_wants_its_cookie_back_is_no_circle(run):
    made = ct_series(2)
    with answering(Sticky(Awkward(made))) as canned:
        assert run("server", "add", "s", canned.url).code == 0
        pulled = run("pull", made[0].study, "--server", "s", "--json")
    assert pulled.code == 0, pulled.err
    assert pulled.json["instances"]["received"] == 2


def test_a_star_alone_selects_everything(run):
    made = [*ct_series(1), *ct_series(1, PatientID="")]
    server = Awkward(made)
    with answering(server) as canned:
        assert run("server", "add", "s", canned.url).code == 0
        for key in ("StudyInstanceUID=*", "PatientID=*"):
            found = run("search", key, "--server", "s", "--json")
            assert {one["StudyInstanceUID"] for one in found.json["matches"]} == {one.study for one in made}
            assert "=*" not in server.asked[-1].path
            assert str(Resource(made[0].study))
