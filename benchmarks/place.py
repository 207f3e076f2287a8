"""Where the benchmarks happen: a real Orthanc, real and made series, folders emptied between rounds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid
from tests.builders import Made, ct_series
from tests.servers import orthanc as orthanc_server
from tests.servers.orthanc import Orthanc

from benchmarks import large
from benchmarks.delay import proxy
from benchmarks.rounds import FULL, Effort
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "mr-head"
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True)
class Series:
    """A series on the server and in a folder."""

    name: str
    resource: Resource
    files: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


@dataclass
class Place:
    """A temporary folder and an Orthanc with the series in it."""

    folder: Path
    orthanc: Orthanc
    series: list[Series] = field(default_factory=list)
    aside: int = 0
    effort: Effort = FULL
    _indexed: int = 0

    def settings(self, name: str) -> Settings:
        home = self.folder / name
        return Settings(home / "config", home / "archive", home / "state")

    def profile(self, port: int | None = None) -> ServerProfile:
        url = self.orthanc.url if port is None else f"http://127.0.0.1:{port}/dicom-web"
        return ServerProfile("orthanc", url, Login("basic", self.orthanc.user))

    def empty(self, name: str) -> Path:
        """Give a folder of this name, empty.

        What was there is moved aside, not deleted: ext4 makes files slowly where some were deleted just now.
        """
        folder = self.folder / name
        if folder.exists():
            self.aside += 1
            folder.rename(self.folder / f"aside{self.aside}")
        folder.mkdir(parents=True)
        return folder

    def new_archive(self, name: str) -> None:
        """Empty the archive of a home, where nothing must count as lost."""
        (self.empty(f"{name}/archive") / "files").mkdir()

    def large_archive(self) -> tuple[Settings, int]:
        """Return a home whose archive has very many studies, filled once, and how many instances."""
        settings = self.settings("large")
        if not self._indexed:
            self._indexed = large.fill(settings, self.effort.studies)
        return settings, self._indexed

    def remove_others(self) -> None:
        """Take from the server what was stored there meanwhile."""
        own = {str(one.resource.study) for one in self.series}
        for key in json.loads(self.orthanc.rest("GET", "/studies")):
            path = f"/studies/{key}"
            study = json.loads(self.orthanc.rest("GET", path))
            if study["MainDicomTags"]["StudyInstanceUID"] not in own:
                self.orthanc.rest("DELETE", path)

    def curl(self, resource: Resource, *, port: int | None = None) -> list[str]:
        """Give the command that fetches a resource into one file."""
        url = self.profile(port).url + resource.path
        return ["curl", "-sSf", *self.curl_options, url, "-o", str(self.folder / "curl.bin")]

    @property
    def curl_options(self) -> list[str]:
        """What logs curl in and asks for instances as they are stored."""
        return ["-u", f"{self.orthanc.user}:{self.orthanc.password}", "-H", f"Accept: {ACCEPT}"]

    def small_studies(self) -> Iterator[Resource]:
        """Put studies of ten small instances each on the server."""
        for number in range(self.effort.many):
            made = ct_series(10, rows=64, columns=64, StudyInstanceUID=generate_uid())
            folder = self.empty(f"small{number}")
            files = [folder / f"{index}.dcm" for index in range(len(made))]
            for file, instance in zip(files, made, strict=True):
                file.write_bytes(instance.data)
            self.orthanc.add(*files)
            yield Resource(made[0].study)


def renewed(made: Sequence[Made], number: int, *uids: str) -> list[bytes]:
    """Return instances under other UIDs, which takes a hundredth of making them anew.

    Parameters
    ----------
    number : below 1,000; the last three digits of each UID become it.
    uids : of study or series that are renewed too.
    """
    return [_renamed(one.data, number, one.instance, *uids) for one in made]


def renewed_uid(uid: str, number: int) -> str:
    """Return what ``renewed`` makes of a UID."""
    return f"{uid[:-3]}{number:03}"


def _renamed(data: bytes, number: int, *uids: str) -> bytes:
    for uid in uids:
        data = data.replace(uid.encode(), renewed_uid(uid, number).encode())
    return data


def _written(folder: Path, number: int, made: Sequence[Made], effort: Effort) -> Series:
    name = f"CT {number}, {effort.slices} slices of {effort.size}x{effort.size}"
    series = made[0].series
    folder.mkdir()
    files = []
    for index, data in enumerate(renewed(made, number, series)):
        file = folder / f"{index:04}.dcm"
        file.write_bytes(data)
        files.append(file)
    return Series(name, Resource(made[0].study, renewed_uid(series, number)), tuple(files))


def real_series() -> Series | None:
    """Give the real head MR, where the sample data are beside the project."""
    files = tuple(sorted(REAL.glob("*.dcm")))
    if not files:
        return None
    head = dcmread(files[0], stop_before_pixels=True)
    return Series("real MR, 384 slices", Resource(head.StudyInstanceUID, head.SeriesInstanceUID), files)


@contextmanager
def place(folder: Path, effort: Effort = FULL) -> Iterator[Place]:
    """Start Orthanc and fill it: a study of CT series (79 MB each), and the real MR where it is.

    Less than the full effort leaves out the MR.
    """
    (folder / "orthanc").mkdir()
    with orthanc_server.running(folder / "orthanc") as orthanc:
        here = Place(folder, orthanc, effort=effort)
        made = ct_series(effort.slices, rows=effort.size, columns=effort.size)
        for number in range(effort.series):
            here.series.append(_written(folder / f"ct{number}", number, made, effort))
        if effort == FULL and (real := real_series()) is not None:
            here.series.append(real)
        for one in here.series:
            orthanc.add(*one.files)
        yield here


@contextmanager
def delayed(port: int, milliseconds: int) -> Iterator[int]:
    """Run the delaying proxy in front of a port and give its own."""
    with proxy("benchmarks.delay", port, milliseconds) as own:
        yield own
