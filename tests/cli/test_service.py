"""``serve`` and ``run`` as processes: other programs find the archive, and Ctrl-C ends them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.builders import ct_series, write

PROGRAM = Path(sys.executable).with_name("dicomdock")


@contextmanager
def started(*words: str, stdin: str = "") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [PROGRAM, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        process.stdin.write(stdin)
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def document(process: subprocess.Popen[str]) -> dict:
    """Read the first JSON document that the process gives, while it goes on."""
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(process.stderr.read())


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.slow
def test_other_programs_find_the_archive(run, tmp_path):
    made = ct_series(2)
    run("import", *write(tmp_path / "in", made))
    with started("serve", "--port", "0", "--json") as process:
        url = document(process)["url"]
        status, body = get(f"{url}/studies")
        assert status == 200
        assert made[0].study.encode() in body
        status, body = get(
            f"{url}/studies/{made[0].study}", Accept="multipart/related; type=application/dicom"
        )
        assert made[1].data in body
        assert get(f"{url}/studies", Host="evil.example")[0] >= 400
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_a_token_keeps_others_out():
    with started("serve", "--port", "0", "--token-stdin", "--json", stdin="t0ken\n") as process:
        url = document(process)["url"]
        assert get(f"{url}/studies")[0] == 401
        assert get(f"{url}/studies", Authorization="Bearer t0ken")[0] == 200


def test_the_network_needs_a_token_or_a_word(run):
    refused = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 2
    assert "--token-stdin" in refused.err


def test_a_server_is_passed_on(hospital):
    made = ct_series(1)
    hospital.add(made[0].data)
    with started("serve", "--port", "0", "--source", "hospital", "--json") as process:
        status, body = get(f"{document(process)['url']}/studies")
        assert (status, made[0].study.encode() in body) == (200, True)


def test_a_port_in_use_is_told(run):
    with started("serve", "--port", "0", "--json") as process:
        port = document(process)["url"].split(":")[2].split("/")[0]
        taken = run("serve", "--port", port)
    assert taken.code == 2
    assert port in taken.err


@pytest.mark.slow
def test_the_demonstration_starts_and_ends():
    with started("run", "--demo", "--no-browser", "--port", "0") as process:
        line = next(line for line in process.stdout if "127.0.0.1" in line)
        assert "dicomdock runs on" in line
        url = next(word for word in line.split() if word.startswith("http://"))
        assert get(url)[0] in (
            200,
            401,
            403,
        )  # it answers, if only to say that it answers nobody it does not know
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
