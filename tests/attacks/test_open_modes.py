"""Another user reads what lies in a home: no file or folder of it is open to him, whoever made it first.

The folder of an archive may be one that the user had made before, for everybody to read.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from dicomdock.archive import Archive
from dicomdock.cli import main
from dicomdock.config.home import OTHERS
from dicomdock.config.settings import Settings
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.query import Query
from dicomdock.dock.services.uploads import Uploads
from dicomdock.launch.register.common import run_command, write_file
from dicomdock.sources import Part
from dicomdock.transfer.queue import TransferQueue
from dicomdock.worklist.lists import LocalWorkList
from tests.builders import ct_series, write
from tests.fuzz.exchange import asked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")

STEP: DicomJson = {
    "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
    "00741200": {"vr": "CS", "Value": ["LOW"]},
    "00741204": {"vr": "LO", "Value": ["segment"]},
    "00404005": {"vr": "DT", "Value": ["20260101120000+0000"]},
    "00404041": {"vr": "CS", "Value": ["READY"]},
}


@pytest.fixture
def careless() -> Iterator[None]:
    """Let everybody write what this process makes, unless it says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_below(*tops: Path) -> list[Path]:
    """Return what other users may read or write, in these folders and of them."""
    found = [path for top in tops for path in (top, *top.rglob("*"))]
    return [path for path in found if not path.is_symlink() and path.stat().st_mode & OTHERS]


def used(settings: Settings, files: Path) -> list[Path]:
    """Use each database of a home, and return what is open to others while all are in use."""
    with Archive.open(settings) as archive:
        list(archive.import_paths([files]))
        LocalWorkList(archive).create(STEP)
        (page,) = archive.search(Query("studies", {}))
        assert page.matches
        TransferQueue(settings).add("pull", "box", ["1.2"])
        return open_below(settings.archive, settings.state)


@pytest.mark.usefixtures("careless")
def test_nothing_is_open_to_others(settings: Settings, tmp_path: Path) -> None:
    settings.archive.mkdir(parents=True)  # by the user, for everybody
    files = tmp_path / "files"
    write(files, ct_series(2))
    assert used(settings, files) == []


def test_a_database_that_was_open_is_closed(settings: Settings, tmp_path: Path) -> None:
    files = tmp_path / "files"
    write(files, ct_series(2))
    used(settings, files)
    databases = [*settings.archive.glob("*.sqlite"), *settings.state.glob("*.db")]
    assert len(databases) >= 3
    for path in databases:  # as earlier versions left them
        path.chmod(0o644)
    elsewhere = settings.archive / "index-linked.sqlite"
    elsewhere.symlink_to(tmp_path / "files")
    assert used(settings, files) == []


COMMANDS = (
    "import {files}",
    "list",
    "verify",
    "pin {study}",
    "tool add {tool}",
    "server add box http://127.0.0.1:9/dicom-web --user me --password-stdin --untested",
    "trust add http://127.0.0.1:9",
    "tool allow http://127.0.0.1:9",
    "worklist create liver --study {study}",
    "cohort make chest --local Modality=CT",
    "cohort export chest {out}",
    "project make livers chest draw --annotator Doe^Jane",
    "transfers",
    "remove {study} --yes",
)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0, 0o022])
def test_nothing_that_commands_leave_is_open_to_others(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    """The folders of the user are missing, so that dicomdock makes their parents too."""
    monkeypatch.delenv("DICOMDOCK_HOME")
    tops = {name: home / name / "of" / "mine" for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    for name, folder in tops.items():
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder))
    files, tool = tmp_path / "files", tmp_path / "tool.toml"
    images = ct_series(2)
    write(files, images)
    tool.write_text('name = "t"\ncommand = ["t", "{input}", "{output}"]\n[labels]\n1 = "Liver"\n')
    names = {"files": files, "tool": tool, "study": images[0].study, "out": tmp_path / "out"}
    before = os.umask(mask)
    try:
        for command in COMMANDS:
            monkeypatch.setattr("sys.stdin", io.StringIO("secret"))
            assert main([word.format(**names) for word in command.split()]) == 0, command
    finally:
        os.umask(before)
    made = [folder for folder in home.iterdir() if folder.is_dir()]
    assert len(made) >= 3
    assert open_below(*made) == []


@pytest.mark.usefixtures("careless")
def test_nothing_is_open_to_others_while_it_arrives(settings: Settings) -> None:
    images = ct_series(3)
    with Archive.open(settings) as archive:
        uploads = Uploads(asyncio.to_thread, Mock(settings=settings, archive=archive), Mock(), Mock())
        app = Starlette(
            routes=[
                Route("/uploads", uploads.begin, methods=["POST"]),
                Route("/uploads/{batch}", uploads.receive, methods=["POST"]),
            ]
        )

        async def send() -> None:
            assert await asked(app, "POST", b"/uploads", b"", [], b"") == 201
            (key,) = uploads._batches
            path = f"/uploads/{key}".encode()
            assert await asked(app, "POST", path, b"name=a", [], images[0].data) == 204

        asyncio.run(send())
        with archive.writer() as writer:
            for image in images:
                writer.add(Part("application/dicom", lambda image=image: iter((image.data,))))
            assert [*(settings.archive / "incoming").rglob("*.part")]
            assert open_below(settings.archive, settings.state) == []
        assert open_below(settings.archive, settings.state) == []


@pytest.mark.usefixtures("careless")
def test_nobody_else_can_replace_the_program_that_takes_links(tmp_path: Path) -> None:
    wrapper, listed = tmp_path / "share" / "dicomdock" / "bin" / "dicomdock-open", tmp_path / "mimeapps.list"
    write_file(wrapper, "#!/bin/sh\n", mode=0o755)
    assert run_command(("touch", str(listed))) == (0, "")  # a program of the desktop that writes its lists
    assert open_below(tmp_path / "share", listed) == [wrapper]
    assert not wrapper.stat().st_mode & 0o022
