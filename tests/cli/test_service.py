"""``serve`` and ``run`` as processes: other programs find the archive, and Ctrl-C ends them."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.builders import ct_series, document, write
from tests.programs import Program
from tests.waiting import until

pytestmark = pytest.mark.slow
PROGRAM = Path(sys.executable).with_name("dicomdock")


def started(*words: str, stdin: str = "") -> Program:
    return Program([PROGRAM, *words], stdin=stdin)


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_other_programs_find_the_archive(run, tmp_path):
    made = ct_series(2)
    run("import", *write(tmp_path / "in", made))
    with started("serve", "--port", "0", "--json") as process:
        said = process.json()
        url, token = said["url"], {"Authorization": f"Bearer {said['token']}"}
        status, body = get(f"{url}/studies", **token)
        assert status == 200
        assert made[0].study.encode() in body
        accept = {"Accept": "multipart/related; type=application/dicom"}
        status, body = get(f"{url}/studies/{made[0].study}", **accept, **token)
        assert made[1].data in body
        assert get(f"{url}/studies", Host="evil.example", **token)[0] >= 400
        process.signal(signal.SIGINT)
        assert process.ends(20) == 0
        assert process.stderr == ""


def test_a_token_keeps_others_out():
    with started("serve", "--port", "0", "--token-stdin", "--json", stdin="t0ken\n") as process:
        url = process.json()["url"]
        assert get(f"{url}/studies")[0] == 401
        assert get(f"{url}/studies", Authorization="Bearer t0ken")[0] == 200


def serving(process: Program) -> set[int]:
    """Return the processes that serve for another one."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    serves = set()
    for one in found:
        with suppress(OSError):  # it has just ended
            if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes():
                serves.add(int(one))
    return serves


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are seen in /proc")
def test_several_processes_serve_one_address_and_one_that_dies_is_replaced(run, tmp_path):
    made = ct_series(2)
    run("import", *write(tmp_path / "in", made))
    words = ("serve", "--port", "0", "--workers", "2", "--token-stdin", "--json")
    with started(*words, stdin="t0ken\n") as process:
        url = process.json()["url"]

        def answers() -> bool:
            status, body = get(f"{url}/studies", Authorization="Bearer t0ken")
            return status == 200 and made[0].study.encode() in body

        until(lambda: len(serving(process)) == 2)
        assert all(answers() for _ in range(6))
        assert {get(f"{url}/studies")[0] for _ in range(6)} == {401}
        first = serving(process)
        os.kill(min(first), signal.SIGKILL)
        until(lambda: len(serving(process) - {min(first)}) == 2)
        assert all(answers() for _ in range(6))
        last = serving(process)
        process.signal(signal.SIGTERM)
        assert process.ends(60) == 0
        assert not [pid for pid in last if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(
    ("options", "root"), [((), None), (("--trusted-proxy", "127.0.0.1"), "https://pacs.example.org")]
)
def test_a_reverse_proxy_is_believed_only_where_it_is_trusted(run, tmp_path, options, root):
    run("import", *write(tmp_path / "in", ct_series(1)))
    with started("serve", "--port", "0", "--json", "--without-token", *options) as process:
        url = process.json()["url"]
        headers = {"X-Forwarded-Host": "pacs.example.org", "X-Forwarded-Proto": "https"}
        (match,) = json.loads(get(f"{url}/studies", **headers)[1])
        expected = f"{root}/dicom-web" if root else url
        assert match["00081190"]["Value"][0].startswith(f"{expected}/studies/")


@pytest.mark.parametrize(
    ("options", "policy"), [((), "same-origin"), (("--cors", "https://viewer.example"), "cross-origin")]
)
def test_other_sites_cannot_embed_what_is_served(options: tuple[str, ...], policy: str):
    with started("serve", "--port", "0", "--json", "--without-token", *options) as process:
        url = process.json()["url"]
        for path in ("/studies", "/nowhere"):
            try:
                headers = urllib.request.urlopen(url + path).headers
            except urllib.error.HTTPError as error:
                headers = error.headers
                error.close()
            assert headers["Cross-Origin-Resource-Policy"] == policy
            assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_token_is_shown_once_and_the_same_from_then_on():
    with started("serve", "--port", "0", "--json") as process:
        token = {"Authorization": f"Bearer {process.json()['token']}"}
    with started("serve", "--port", "0", "--json") as process:
        said = process.json()
        assert "token" not in said
        assert get(f"{said['url']}/studies")[0] == 401
        assert get(f"{said['url']}/studies", **token)[0] == 200
    with started("serve", "--port", "0", "--json", "--new-token") as process:
        said = process.json()
        assert get(f"{said['url']}/studies", **token)[0] == 401
        assert get(f"{said['url']}/studies", Authorization=f"Bearer {said['token']}")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_no_address_is_served_without_a_token_unless_asked(host):
    with started("serve", "--host", host, "--port", "0", "--json") as process:
        port = process.json()["url"].split(":")[2].split("/")[0]
        assert get(f"http://127.0.0.1:{port}/dicom-web/studies")[0] == 401
    with started("serve", "--host", host, "--port", "0", "--json", "--without-token") as process:
        port = process.json()["url"].split(":")[2].split("/")[0]
        assert get(f"http://127.0.0.1:{port}/dicom-web/studies")[0] == 200


def test_a_login_is_never_lent_to_who_shows_no_token(run, hospital):
    refused = run("serve", "--port", "0", "--source", "hospital", "--without-token")
    assert refused.code == 2
    assert "your login at hospital" in refused.err


def test_a_server_for_reading_only_stores_and_deletes_nothing():
    with started("serve", "--port", "0", "--json", "--read-only", "--without-token") as process:
        url = process.json()["url"]
        assert get(f"{url}/studies")[0] == 200
        for method, path in (("POST", "/studies"), ("DELETE", "/studies/1.2.3")):
            request = urllib.request.Request(url + path, data=b"", method=method)
            with pytest.raises(urllib.error.HTTPError) as refusal, urllib.request.urlopen(request):
                pass
            with refusal.value as error:
                assert error.code == 403


def test_a_server_is_passed_on(hospital):
    made = ct_series(1)
    hospital.add(made[0].data)
    with started("serve", "--port", "0", "--source", "hospital", "--json") as process:
        said = process.json()
        status, body = get(f"{said['url']}/studies", Authorization=f"Bearer {said['token']}")
        assert (status, made[0].study.encode() in body) == (200, True)


def test_a_port_in_use_is_reported(run):
    with started("serve", "--port", "0", "--json") as process:
        port = process.json()["url"].split(":")[2].split("/")[0]
        taken = run("serve", "--port", port)
    assert taken.code == 2
    assert port in taken.err


def test_the_demonstration_starts_and_ends():
    with started("run", "--demo", "--no-browser", "--port", "0") as process:
        line = process.line("127.0.0.1")
        assert "dicomdock runs on" in line
        url = next(word for word in line.split() if word.startswith("http://"))
        assert get(url)[0] in (
            200,
            401,
            403,
        )  # it answers, if only to say that it answers nobody it does not know
        process.signal(signal.SIGINT)
        assert process.ends(30) == 0


def test_a_demonstration_that_was_interrupted_is_made_whole_at_the_next_start(run, home):
    with started("run", "--demo", "--no-browser", "--port", "0") as process:
        process.line("being created")
        process.signal(signal.SIGINT)
        assert process.ends(120) == 0
    with started("run", "--demo", "--no-browser", "--port", "0") as process:
        process.line("study is ready")
        listed = run("search", "--server", "demo", "--json")
        assert listed.json["matches"][0]["NumberOfStudyRelatedInstances"] == 121


def test_copies_are_served_by_the_key_of_exports_and_what_is_held_back_is_listed(run, tmp_path):
    made, held = ct_series(2), document()
    run("import", *write(tmp_path / "in", [*made, held]))
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    options = ("--deidentify", "basic", "--key-file", str(key))
    run("export", made[0].study, tmp_path / "out", *options)
    copies = {dcmread(path).SOPInstanceUID for path in (tmp_path / "out").rglob("*.dcm")}
    with started("serve", "--port", "0", "--json", "--without-token", *options) as process:
        url = process.json()["url"]
        (study,) = json.loads(get(f"{url}/studies")[1])
        assert "Doe" not in json.dumps(study)
        study = study["0020000D"]["Value"][0]
        found = json.loads(get(f"{url}/studies/{study}/instances")[1])
        assert {one["00080018"]["Value"][0] for one in found} == copies
        deletion = urllib.request.Request(f"{url}/studies/{study}", method="DELETE")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(deletion)
        refused.value.close()
        assert refused.value.code == 403
        process.signal(signal.SIGINT)
        assert process.ends(20) == 0
        assert f"{held.resource} is held back: " in process.stderr


def test_what_cannot_be_served_deidentified_is_refused_before_anything_listens(run):
    run("server", "add", "far", "http://127.0.0.1:9/dicom-web", "--no-probe")
    for words, sentence in (
        (("--deidentify", "strict"), "is not a profile"),
        (("--key-file", "key"), "belong to --deidentify"),
        (("--deidentify", "basic", "--source", "far"), "--deidentify serves the archive"),
    ):
        refused = run("serve", "--port", "0", *words)
        assert refused.code == 2
        assert sentence in refused.err
