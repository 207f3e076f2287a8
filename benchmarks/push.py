"""Push beside curl with one prebuilt body and dicomweb-client."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.goals import Goal, table
from benchmarks.place import Place, Series, delayed
from benchmarks.rounds import alternate, process
from dicomdock.dicomweb import Client
from dicomdock.dicomweb.auth import BasicAuth
from dicomdock.sources import Part
from dicomdock.transfer import parts_of_files
from dicomdock.transfer.push import push
from dicomdock.web.multipart.writer import MultipartBody

CURL, OURS, PEER = "curl, one prebuilt body", "dicomdock", "dicomweb-client store_instances"


def all_sections(place: Place) -> list[Callable[[], str]]:
    """Return the pushes of a CT series of 79 MB, on loopback and at 40 ms."""
    return [partial(one_series, place, place.series[0], title="Push, warm"), partial(far, place)]


def far(place: Place) -> str:
    """Push with a round trip of 40 ms."""
    with delayed(place.orthanc.port, 40) as port:
        return one_series(place, place.series[0], title="Push, warm, 40 ms round trip", port=port)


def one_series(place: Place, series: Series, *, title: str, port: int | None = None) -> str:
    """Send a series that the server does not hold, again and again."""
    profile, settings = place.profile(port), place.settings("warm")
    client = Client(profile, settings=settings, auth=BasicAuth(place.orthanc.user, place.orthanc.password))
    body = MultipartBody([Part.from_file(file) for file in series.files])
    prebuilt = place.folder / "body.bin"
    with prebuilt.open("wb") as file:
        file.writelines(body.chunks())
    parts = parts_of_files(series.files)

    def ours() -> None:
        work = push(parts, client, settings)
        while True:
            try:
                next(work)
            except StopIteration as ended:
                assert ended.value.count("stored") == len(parts), ended.value
                return

    curl = [
        "curl", "-sSf", "-u", f"{place.orthanc.user}:{place.orthanc.password}",
        "-o", str(place.folder / "answer"),
        "-H", f"Content-Type: {body.content_type}", "-H", "Accept: application/dicom+json", "-H", "Expect:",
        "-T", str(prebuilt), "-X", "POST", f"{profile.url}/studies",
    ]  # fmt: skip
    peer = [sys.executable, "-m", "benchmarks.peers", "dicomweb_client_push", profile.url]
    folder = str(Path(series.files[0]).parent)
    runs = alternate(
        {CURL: lambda: process(curl), OURS: ours, f"{PEER} (process)": lambda: process([*peer, folder])},
        effort=place.effort,
        before=lambda: _delete(place, series),
        warm=False,
    )
    return table(f"{title}: {series.name}", runs, [Goal(OURS, CURL, 0.85)])


def _delete(place: Place, series: Series) -> None:
    found = json.loads(place.orthanc.rest("POST", "/tools/lookup", str(series.resource.series).encode()))
    for row in found:
        if row["Type"] == "Series":
            place.orthanc.rest("DELETE", f"/series/{row['ID']}")
