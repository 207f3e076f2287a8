"""Bad input and bad servers: each gets a plain sentence, the right exit code, and nothing half-written."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.builders import ct_series, write
from tests.servers.canned import Answer, answering, own_certificate
from tests.servers.process import free_port

DICOM_JSON = {"Content-Type": "application/dicom+json"}


def said(ran, code: int, *words: str) -> None:
    """Check one plain sentence on standard error, in words too with ``--json``."""
    assert ran.code == code, ran
    assert "Traceback" not in ran.err
    assert ran.err.strip()
    for word in words:
        assert word in ran.err


def add(run, url: str, name: str = "box", *options: str, **stdin: str):
    return run("server", "add", name, url, *options, **stdin)


@pytest.mark.slow
def test_a_host_that_is_down(run, home):
    url = f"http://127.0.0.1:{free_port()}/dicom-web"
    said(
        add(run, url, "box", "--user", "a", "--password-stdin", stdin="s3cret\n"),
        1,
        "not saved",
        "--untested",
    )
    assert run("server", "list", "--json").json["servers"] == []
    assert "s3cret" not in "".join(one.read_text() for one in home.rglob("*.json"))
    added = add(run, url, "box", "--untested")
    assert added.code == 0  # the server may come back
    assert "box is saved" in added.err
    said(run("search"), 1, "127.0.0.1")
    said(run("pull", "1.2.3"), 1, "127.0.0.1")
    assert run("server", "list", "--json").json["servers"][0]["url"] == url


def test_a_host_that_does_not_exist(run):
    add(run, "http://no-such-host.invalid/dicom-web", "box", "--untested")
    said(run("search"), 1, "no-such-host.invalid")


@pytest.mark.slow
def test_a_certificate_that_nobody_signed(run, tmp_path):
    with answering(lambda _: Answer(body=b"[]"), certificate=own_certificate(tmp_path)) as server:
        said(add(run, f"{server.url}/dicom-web"), 1, "certificate", "not saved")
        said(add(run, f"{server.url}/dicom-web", "box", "--untested"), 0, "certificate")
        said(run("search"), 1, "certificate")
    assert not server.asked


@pytest.mark.slow
def test_a_certificate_that_the_user_trusts(run, tmp_path):
    certificate = own_certificate(tmp_path)
    with answering(lambda _: Answer(body=b"[]", headers=DICOM_JSON), certificate=certificate) as server:
        assert add(run, f"{server.url}/dicom-web", "box", "--ca-file", certificate).code == 0
        assert run("search", "--json").json["matches"] == []


def test_a_wrong_password(run, orthanc):
    said(
        add(run, orthanc.url, "box", "--user", "alice", "--password-stdin", stdin="wrong"),
        4,
        "alice",
        "box is saved",
    )
    said(run("search"), 4, "alice")
    said(run("pull", "1.2.3"), 4, "alice")
    assert "wrong" not in run("search", "-v").err


@pytest.mark.slow
def test_a_login_that_may_not(run):
    with answering(lambda _: Answer(403, b"no")) as server:
        said(add(run, f"{server.url}/dicom-web"), 4)
        said(run("search"), 4)


def test_a_study_that_is_not_there(run, hospital):
    said(run("pull", "1.2.3.404"), 1, "1.2.3.404")
    said(run("pull", "PatientID=nobody"), 1, "PatientID=nobody")


@pytest.mark.slow
def test_a_page_instead_of_json(run):
    page = Answer(body=b"<!doctype html><title>Welcome</title>", headers={"Content-Type": "text/html"})
    with answering(lambda _: page) as server:
        said(add(run, f"{server.url}/dicom-web"), 1)
        said(run("search"), 1, "HTML")


@pytest.mark.slow
def test_a_server_that_never_answers(run, settings):
    settings.config.mkdir(parents=True)
    (settings.config / "settings.toml").write_text("read_timeout = 0.3\nretries = 0\n")
    with answering(lambda _: None) as server:
        said(add(run, f"{server.url}/dicom-web"), 1, "sent nothing", "not saved")
        said(add(run, f"{server.url}/dicom-web", "box", "--untested"), 0, "box is saved")
        said(run("search"), 1, "sent nothing")


def test_a_wrong_address(run, orthanc):
    said(add(run, "ftp://127.0.0.1/dicom-web"), 2, "http")
    said(add(run, "http://alice:secret@127.0.0.1/"), 2)
    assert run("server", "list", "--json").json["servers"] == []


def test_a_server_nobody_added(run):
    said(run("search", "--server", "nowhere"), 1, "nowhere")
    said(run("search"), 1, "server add")
    said(run("push", "1.2.3", "--server", "nowhere"), 1, "nowhere")


@pytest.mark.parametrize(
    ("uid", "reason"),
    [
        ("../../etc/passwd", "is not STUDY"),
        ("../1", "cannot be used as a DICOM UID"),
        ("1.2/../3", "cannot be used as a DICOM UID"),
        ("1.2.3/4/5/6", "is not STUDY"),
    ],
)
def test_a_uid_that_is_none(run, hospital, uid, reason, tmp_path):
    for command in (["pull"], ["remove"], ["verify"], ["pin"]):
        said(run(*command, uid), 2, reason)
    said(run("export", uid, tmp_path / "out"), 2, reason)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("uid", ["1;2", "1" * 65])
def test_a_uid_of_an_unusual_form_is_looked_for(run, hospital, uid, tmp_path):
    for command in (["pull"], ["remove"], ["verify"], ["pin"]):
        said(run(*command, uid), 1, uid)
    said(run("export", uid, tmp_path / "out"), 1, uid)


def test_a_key_that_is_none(run, hospital):
    said(run("search", "PatientName"), 2, "KEY=VALUE")
    said(run("search", "NoSuchKeyword=1"), 2, "NoSuchKeyword")
    said(run("search", "PatientID=1", "PatientID=2"), 2, "twice")


def test_a_file_that_is_not_there(run, hospital):
    said(run("import", "/no/such/file.dcm"), 2, "/no/such/file.dcm")
    said(run("push", "./no-such.dcm"), 2, "no-such.dcm")


def test_no_room_is_reported_before_the_disk_is_full(run, hospital, settings, tmp_path):
    hospital.add(*(instance.data for instance in ct_series(2)))
    settings.config.mkdir(parents=True, exist_ok=True)
    floor = shutil.disk_usage(tmp_path).total * 2
    (settings.config / "settings.toml").write_text(f"free_space_floor = {floor}\n")
    said(run("pull", "PatientID=P1"), 1, "free")
    said(run("import", *write(tmp_path / "in", ct_series(1))), 1, "free")
    assert run("list", "--json").json["matches"] == []


def test_an_archive_of_a_later_version(run, settings, tmp_path):
    import sqlite3

    assert run("import", *write(tmp_path / "in", ct_series(1))).code == 0
    (index,) = settings.archive.glob("*.sqlite")
    with sqlite3.connect(index) as connection:
        connection.execute("update archive set version = 9999")
    connection.close()
    said(run("list"), 1, "later version")


@pytest.mark.slow
def test_an_archive_that_another_process_holds(run, settings, tmp_path, monkeypatch):
    import sqlite3

    from dicomdock.archive.index.engine import Index

    monkeypatch.setitem(Index.__init__.__kwdefaults__, "lock_timeout", 0.2)
    files = write(tmp_path / "in", ct_series(1))
    assert run("list").code == 0
    (index,) = settings.archive.glob("*.sqlite")
    with sqlite3.connect(index) as holder:
        holder.execute("begin exclusive")
        said(run("import", *files), 1, "Another program")
        holder.rollback()
    holder.close()


def test_broken_settings(run, settings):
    settings.config.mkdir(parents=True)
    (settings.config / "settings.toml").write_text("port = [")
    said(run("list"), 2, "settings.toml")


def test_a_failure_is_a_document_too(run):
    ran = run("search", "--server", "nowhere", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["error"]["kind"] == "ProfileError"
    assert "nowhere" in json.loads(ran.out)["error"]["message"]


@pytest.mark.slow
def test_an_unknown_command_or_option_is_a_matter_of_usage(run):
    assert run("serach").code == 2
    assert run("search", "--sever", "x").code == 2
    assert run("pull").code == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serach"], "serach"),
        (["search", "--sever", "x"], "--sever"),
        (["pull"], "RESOURCE"),
        (["push", "1.2.3", "--on-duplicate", "perhaps"], "perhaps"),
        (["server"], "command"),
    ],
)
def test_wrong_usage_is_reported_to_scripts_too(run, words, said):
    refused = run(*words, "--json")
    assert refused.code == 2
    assert refused.json["error"]["kind"] == "InvalidInput"
    assert said in refused.json["error"]["message"]
    assert said in refused.err
    first = run("--json", *words)
    assert (first.code, first.json) == (2, refused.json)


@pytest.mark.slow
def test_the_exit_code_is_the_same_with_and_without_a_document(run):
    assert run("pull", "--help", "--json").code == 0
    assert run("--json", "--version").code == 0


def test_text_from_a_server_does_not_steer_the_terminal(run):
    evil = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe\x1b[2J\x07^Jane\u202e"}]}}
    evil["0020000D"] = {"vr": "UI", "Value": ["1.2.3"]}
    with answering(lambda _: Answer(body=json.dumps([evil]).encode(), headers=DICOM_JSON)) as server:
        add(run, f"{server.url}/dicom-web")
        shown = run("search", "--limit", "1")
    assert "Doe?[2J?^Jane?" in shown.out
    assert "\x1b" not in shown.out + shown.err


@pytest.mark.slow
def test_a_terminal_that_cannot_show_a_name_shows_the_rest(run, process, tmp_path, monkeypatch):
    files = write(tmp_path / "in", ct_series(1, PatientName="Müller^Jürgen"))
    assert run("import", *files).code == 0
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    listed = process("list")
    assert listed.code == 0, listed.err
    assert "M?ller" in listed.out
