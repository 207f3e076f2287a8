"""Orthanc with its DICOMweb plugin: Debian's own build, and the next release's beside it."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import orthanc_next
from tests.servers.process import ServerProcess, answers_http, free_port

PROGRAM = "Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
INSTALL = "apt-get install --no-install-recommends orthanc orthanc-dicomweb"
INSTALL_NEXT = "python -m tests.servers.orthanc_next"
USER = "alice"
PASSWORD = "secret"


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc.

    Parameters
    ----------
    port : of HTTP, on loopback.
    user, password : its Basic login.
    """

    port: int
    user: str = USER
    password: str = field(default=PASSWORD, repr=False)

    @property
    def root(self) -> str:
        """Address of Orthanc itself: its pages and its own REST API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The DICOMweb base URL."""
        return f"{self.root}/dicom-web"

    @property
    def wado_uri(self) -> str:
        """Address of WADO-URI."""
        return f"{self.root}/wado"

    @property
    def headers(self) -> dict[str, str]:
        """What a request must carry to be let in."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def rest(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask Orthanc's own REST API, which is not DICOMweb."""
        request = urllib.request.Request(self.root + path, data=body, headers=self.headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def add(self, *instances: bytes | Path) -> None:
        """Put instances in, past DICOMweb."""
        for instance in instances:
            self.rest(
                "POST", "/instances", instance if isinstance(instance, bytes) else instance.read_bytes()
            )

    def instance_count(self) -> int:
        """Return the number of instances it holds."""
        return json.loads(self.rest("GET", "/statistics"))["CountInstances"]

    def stored_bytes(self, sop_instance_uid: str) -> bytes:
        """Return the file of an instance as Orthanc keeps it."""
        keys = json.loads(self.rest("POST", "/tools/lookup", sop_instance_uid.encode()))
        (key,) = [row["ID"] for row in keys if row["Type"] == "Instance"]
        return self.rest("GET", f"/instances/{key}/file")

    def clean(self) -> None:
        """Empty it."""
        for patient in json.loads(self.rest("GET", "/patients")):
            self.rest("DELETE", f"/patients/{patient}")


def missing() -> str:
    """Say the command that would install Debian's Orthanc; empty when it is here."""
    return "" if shutil.which(PROGRAM) and PLUGIN.exists() else INSTALL


def missing_next() -> str:
    """Say the command that would fetch the next release's Orthanc; empty when it is here."""
    return "" if orthanc_next.PROGRAM.exists() else INSTALL_NEXT


@contextmanager
def running(
    folder: Path, *, next_release: bool = False, login: bool = True, synced: bool = False
) -> Iterator[Orthanc]:
    """Run an Orthanc that keeps everything in the folder, and stop it at the end.

    Parameters
    ----------
    synced : it waits until the disk has what it stores.
    """
    server = Orthanc(free_port())
    plugin = orthanc_next.PLUGIN if next_release else PLUGIN
    config = {
        "Name": "dicomdock tests",
        "StorageDirectory": str(folder / "DB"),
        "IndexDirectory": str(folder / "DB"),
        "TemporaryDirectory": str(folder),
        "Plugins": [str(plugin)],
        "HttpPort": server.port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": login,
        "RegisteredUsers": {server.user: server.password},
        "KeepAlive": True,
        "DefaultEncoding": "Utf8",
        "Locale": "C.UTF-8",
        "StableAge": 1,
        "SyncStorageArea": synced,
        "ExecuteLuaEnabled": False,
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "EnableWado": True,
            "WadoRoot": "/wado",
            "StudiesMetadata": "Full",
            "SeriesMetadata": "Full",
        },
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(config), "utf-8")
    argv, env = orthanc_next.command() if next_release else ([PROGRAM], {})
    with ServerProcess(
        [*argv, file],
        log=folder / "orthanc.log",
        ready=lambda: answers_http(server.port),
        env=env,
        cwd=folder,
    ):
        yield server
