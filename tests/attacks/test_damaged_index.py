"""A damaged or missing index, a folder that is gone, a read-only home: what each command does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from tests.builders import Made, ct_series, write
from tests.cli.test_old_home import OLD
from tests.conftest import unavailable
from tests.servers.process import ServerProcess, answers_http, free_port


def dicomdock(home: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    argv = [*before, sys.executable, "-m", "dicomdock.cli", "--home", str(home), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, cwd="/")


@pytest.fixture
def made() -> list[Made]:
    return ct_series(4)


@pytest.fixture
def full_home(tmp_path: Path, made: list[Made]) -> Path:
    home = tmp_path / "full"
    with Archive.open(Settings.load(home)) as archive:
        list(archive.import_paths(write(tmp_path / "in", made), origin="pacs"))
        archive.retention.pin(Resource(made[0].study))
    return home


def damage_inside(home: Path) -> None:
    path = home / "archive/index.sqlite"
    database = sqlite3.connect(path)
    pages = database.execute(
        "select rootpage from sqlite_master where name in ('study', 'series')"
    ).fetchall()
    (size,) = database.execute("pragma page_size").fetchone()
    database.close()
    with path.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * size + 8)
            file.write(os.urandom(200))


def delete(home: Path) -> None:
    (home / "archive/index.sqlite").unlink()


def overwrite(home: Path) -> None:
    (home / "archive/index.sqlite").write_bytes(os.urandom(20_000))


@pytest.mark.slow
@pytest.mark.parametrize("harm", [damage_inside, delete, overwrite])
def test_a_command_rebuilds_the_index_and_answers(full_home: Path, made: list[Made], harm: Any) -> None:
    harm(full_home)
    ran = dicomdock(full_home, "list", made[0].study, "--json")
    assert ran.returncode == 0, ran.stderr
    assert "The index is rebuilt: 4 instances of 1 studies." in ran.stderr
    (series,) = json.loads(ran.stdout)["matches"]
    assert series["from"] == ["pacs"] and series["pinned"]
    again = dicomdock(full_home, "list", "--json")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
def test_files_that_are_gone_are_never_nothing(full_home: Path) -> None:
    shutil.move(full_home / "archive/files", full_home / "away")
    for words in (["list"], ["verify"], ["doctor", "--json"], ["export", "1.2.3", str(full_home / "out")]):
        ran = dicomdock(full_home, *words)
        assert ran.returncode == 1, words
        assert "not mounted" in ran.stdout + ran.stderr
        assert "Nothing was found" not in ran.stdout + ran.stderr
    shutil.move(full_home / "away", full_home / "archive/files")
    assert dicomdock(full_home, "verify").returncode == 0


@pytest.mark.slow
def test_an_empty_mount_point_is_named_and_a_pull_or_import_fills_it(
    full_home: Path, tmp_path: Path, made: list[Made]
) -> None:
    shutil.rmtree(full_home / "archive/files")
    (full_home / "archive/files").mkdir()
    ran = dicomdock(full_home, "list")
    assert ran.returncode == 0
    assert "is empty, and 4 instances were stored there: perhaps its disk is not mounted" in ran.stderr
    checked = dicomdock(full_home, "verify", "--json")
    assert checked.returncode == 1
    assert [one["status"] for one in json.loads(checked.stdout)["findings"]] == ["missing"] * len(made)
    assert dicomdock(full_home, "import", str(tmp_path / "in")).returncode == 0
    again = dicomdock(full_home, "verify")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
def test_a_disk_that_is_not_mounted_any_more_is_an_error_for_every_command(
    full_home: Path, tmp_path: Path, made: list[Made]
) -> None:
    """What is stored in its mount point would be hidden once it is mounted again."""
    files, away = full_home / "archive/files", full_home / "away"
    shutil.move(files, away)
    files.mkdir()
    disk = 'mount -t tmpfs none "$1" && cp -r "$0/." "$1" && shift && exec "$@"'
    mount = ("unshare", "-m", "sh", "-c", disk, str(away), str(files))
    ran = dicomdock(full_home, "verify", before=mount)
    if ran.returncode and "mount" in ran.stderr:
        unavailable("A mount", "run the tests where 'unshare -m' may mount")
    assert ran.returncode == 0, ran.stderr
    for words in (["list"], ["import", str(tmp_path / "in")], ["verify"], ["doctor"]):
        ran = dicomdock(full_home, *words)
        assert ran.returncode == 1, words
        assert "it is not mounted" in ran.stdout + ran.stderr
    assert list(files.iterdir()) == []
    assert dicomdock(full_home, "list", before=mount).returncode == 0
    shutil.rmtree(files)
    shutil.move(away, files)  # the same files on this disk
    assert dicomdock(full_home, "verify").returncode == 0


@pytest.mark.slow
def test_a_home_that_never_had_an_archive_is_no_error(tmp_path: Path) -> None:
    for _ in range(2):
        ran = dicomdock(tmp_path / "new", "list")
        assert ran.returncode == 0
        assert "Nothing was found" in ran.stdout + ran.stderr


READ_ONLY = ["permission bits", "read-only mount"]


@pytest.fixture(params=READ_ONLY)
def read_only(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Return a function that makes a home read-only, and returns what a command is to be run by."""
    closed: list[Path] = []

    def make(home: Path) -> tuple[str, ...]:
        if request.param == "permission bits":
            for path in (home, *home.rglob("*")):
                path.chmod(0o555 if path.is_dir() else 0o444)
            closed.append(home)
            # Root is not bound by them, unless it gives up these rights.
            return () if os.getuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        if os.getuid() != 0:
            unavailable("A mount", "run the tests as root")
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        try:
            subprocess.run(
                ["unshare", "-m", "sh", "-c", mount, str(home), "true"], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError):
            unavailable("A mount", "run the tests where 'unshare -m' may mount")
        return ("unshare", "-m", "sh", "-c", mount, str(home))

    yield make
    for home in closed:
        for path in (home, *home.rglob("*")):
            path.chmod(0o700)


def old_home(tmp_path: Path) -> Path:
    shutil.unpack_archive(OLD / "home.tar.gz", tmp_path / "old", filter="data")
    return tmp_path / "old/home"


@pytest.mark.slow
@pytest.mark.parametrize("state", ["whole", "log", "old", "damaged", "no index"])
def test_a_read_only_home_can_be_listed_and_exported(
    full_home: Path, tmp_path: Path, read_only: Any, state: str
) -> None:
    home, count = full_home, 4
    if state == "old":
        home, count = old_home(tmp_path), 12
    elif state == "damaged":
        overwrite(home)
    elif state == "no index":
        delete(home)
    elif state == "log":
        holding = sqlite3.connect(home / "archive/index.sqlite")
        holding.execute("begin; ")
        holding.close()
        script = (
            "import os, sqlite3, sys\n"
            "database = sqlite3.connect(sys.argv[1])\n"
            "database.execute(\"update study set StudyDescription = 'in the log'\")\n"
            "database.commit()\n"
            "os._exit(0)\n"
        )
        subprocess.run([sys.executable, "-c", script, str(home / "archive/index.sqlite")], check=True)
        assert (home / "archive/index.sqlite-wal").stat().st_size
    before = read_only(home)
    listed = dicomdock(home, "list", "--json", before=before)
    assert listed.returncode == 0, listed.stderr
    studies = json.loads(listed.stdout)["matches"]
    assert sum(study["NumberOfStudyRelatedInstances"] for study in studies) == count
    if state == "log":
        assert studies[0]["StudyDescription"] == "in the log"
    verified = dicomdock(home, "verify", "--json", before=before)
    assert json.loads(verified.stdout)["intact"] == count, verified.stderr
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    exported = dicomdock(home, "export", studies[0]["StudyInstanceUID"], str(out / "x"), before=before)
    assert exported.returncode == 0, exported.stderr
    assert [*out.rglob("*.dcm")]
    study = studies[0]["StudyInstanceUID"]
    refused = [["remove", study], ["pin", study], ["import", str(tmp_path / "in")]]
    for words in refused if state == "whole" else refused[:1]:
        ran = dicomdock(home, *words, before=before)
        assert ran.returncode == 1, words
        assert "read-only" in ran.stderr


@pytest.mark.slow
def test_what_must_write_says_that_the_home_is_read_only(full_home: Path, read_only: Any) -> None:
    dicomdock(full_home, "transfers")  # the state folder is there
    before = read_only(full_home)
    for words in (["transfers"], ["transfers", "resume", "1"], ["run", "--no-browser"]):
        ran = dicomdock(full_home, *words, "--json", before=before)
        assert ran.returncode == 1
        error = json.loads(ran.stdout)["error"]
        assert error["kind"] == "ReadOnlyHome", words
        assert f"{full_home / 'state'} is read-only. Make it writable" in error["message"]
        assert ran.stderr.endswith(f"{error['message']}\n")
        assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_a_read_only_home_can_be_served(
    full_home: Path, tmp_path: Path, read_only: Any, made: list[Made]
) -> None:
    before = read_only(full_home)
    port = free_port()
    argv = [*before, sys.executable, "-m", "dicomdock.cli", "--home", str(full_home), "serve"]
    server = ServerProcess(
        [*argv, "--port", str(port), "--without-token", "--other-users"],
        log=tmp_path / "serve.log",
        ready=lambda: answers_http(port),
    )
    with server:
        url = f"http://127.0.0.1:{port}/dicom-web/studies"
        curl = ["curl", "-sS", "-w", "%{http_code}", "-o", str(tmp_path / "body")]
        for path in ("", f"/{made[0].study}/metadata", f"/{made[0].study}"):
            ran = subprocess.run(
                [*curl, url + path], capture_output=True, text=True, check=False, timeout=120
            )
            assert ran.stdout == "200", (path, (tmp_path / "body").read_bytes()[:300])
        stow = subprocess.run(
            [
                *curl,
                "-H",
                'Content-Type: multipart/related; type="application/dicom"; boundary=x',
                "--data-binary",
                "@-",
                url,
            ],
            input=b"--x\r\nContent-Type: application/dicom\r\n\r\n" + ct_series(1)[0].data + b"\r\n--x--\r\n",
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert stow.stdout in (b"409", b"500", b"403"), stow.stdout


@pytest.mark.slow
@pytest.mark.viewer
def test_a_read_only_home_can_be_viewed(full_home: Path, read_only: Any, made: list[Made]) -> None:
    pytest.importorskip("trame_slicer")
    before = read_only(full_home)
    argv = [*before, sys.executable, "-m", "dicomdock.cli", "--home", str(full_home), "view", made[0].study]
    with subprocess.Popen([*argv, "--no-browser"], stdout=subprocess.PIPE, text=True) as viewing:
        assert viewing.stdout is not None
        try:
            assert viewing.stdout.readline().startswith("The viewer is here: http://127.0.0.1:")
        finally:
            viewing.send_signal(signal.SIGINT)
