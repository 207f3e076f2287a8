"""tiny-pacs with its DICOMweb front end: a second dialect, strict where Orthanc is lenient."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.servers.process import ServerProcess, answers_http, free_port

INSTALL = "pip install 'tiny-pacs[http]' tiny-pacs-dicomweb"


@dataclass(frozen=True)
class TinyPacs:
    """A running tiny-pacs.

    Parameters
    ----------
    port : of HTTP, on loopback.
    folder : where it keeps everything.
    token : the Bearer token that it asks for; empty when it asks for none.
    """

    port: int
    folder: Path
    token: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The DICOMweb base URL."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def remember(self) -> None:
        """Keep its database as it is now, for ``clean``."""
        _copy(self.folder / "pacs.db", self.folder / "empty.db")

    def clean(self) -> None:
        """Empty it: it has no command for that, and starts for more than a second."""
        _copy(self.folder / "empty.db", self.folder / "pacs.db")
        for stored in (self.folder / "files").iterdir():
            shutil.rmtree(stored) if stored.is_dir() else stored.unlink()


def _copy(source: Path, target: Path) -> None:
    """Give a database what another one has, while programs have them open."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def missing() -> str:
    """Say the command that would install it; empty when it is here."""
    needed = ("tiny_pacs", "tiny_pacs_dicomweb", "waitress")
    return "" if all(importlib.util.find_spec(name) for name in needed) else INSTALL


@contextmanager
def running(folder: Path, *, token: str = "") -> Iterator[TinyPacs]:
    """Run a tiny-pacs that keeps everything in the folder, and stop it at the end."""
    server = TinyPacs(free_port(), folder, token)
    config = {
        "ae": {"ae_title": ["TINY_PACS"], "port": free_port()},
        "log": {"version": 1, "root": {"level": "WARNING"}},
        "components": {
            "Database": {"on": True, "driver": "sqlite", "db_name": str(folder / "pacs.db"), "mode": "rwc"},
            "Devices": {"on": True},
            "PACS": {"on": True},
            "InMemoryStorage": {"on": False},
            "FileStorage": {"on": True, "storage_dir": str(folder / "files")},
            "HttpServer": {"on": True, "host": "127.0.0.1", "port": server.port},
            "DICOMWeb": {
                "on": True,
                "prefix": "/dicom-web",
                "auth": "token" if token else "none",
                "tokens": [token] if token else [],
                "max_part_size": 1 << 30,
            },
        },
    }
    (folder / "files").mkdir()
    file = folder / "tiny-pacs.yaml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    with ServerProcess(
        [sys.executable, "-m", "tiny_pacs", "run", "-c", file],
        log=folder / "tiny-pacs.log",
        ready=lambda: answers_http(server.port),
        cwd=folder,
    ):
        server.remember()
        yield server
