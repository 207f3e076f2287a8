"""Pull beside curl and dicomweb-client: warm, as a process, a study, many studies, at 40 ms."""

from __future__ import annotations

import os
import sys

from benchmarks.goals import Goal, table
from benchmarks.place import Place, Series, delayed
from benchmarks.rounds import alternate, process
from dicomdock.archive import Archive
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import Client
from dicomdock.dicomweb.auth import BasicAuth
from dicomdock.transfer import PullReport
from dicomdock.transfer.pull import pull

CURL, SYNCED, OURS = "curl", "curl + sync", "dicomdock"
PEER = "dicomweb-client iter_series + dcmwrite"
PARALLEL, PEER_STUDIES = "curl --parallel-immediate", "dicomweb-client, one study after the other"


class _Warm:
    """Pulls in one process, each time into a new archive that is open already."""

    def __init__(self, place: Place, profile: ServerProfile, resource: Resource) -> None:
        self.place, self.resource = place, resource
        self.settings = place.settings("warm")
        auth = BasicAuth(place.orthanc.user, place.orthanc.password)
        self.client = Client(profile, settings=self.settings, auth=auth)
        self.archive: Archive | None = None

    def before(self) -> None:
        self.close()
        self.place.new_archive("warm")
        self.archive = Archive.open(self.settings)

    def close(self) -> None:
        if self.archive is not None:
            self.archive.close()

    def __call__(self) -> None:
        assert self.archive is not None
        work = pull(self.client, self.archive, [self.resource], self.settings)
        while True:
            try:
                next(work)
            except StopIteration as ended:
                report: PullReport = ended.value
                assert report.complete and report.received == report.expected, report
                return


def warm(
    place: Place,
    series: Series,
    *,
    port: int | None = None,
    title: str,
    limits: tuple[float, float],
    faster: float,
) -> str:
    """Pull in one process that has done it before.

    Parameters
    ----------
    limits : times curl with a sync of its file, and times curl alone.
    """
    from benchmarks.peers import dicomweb_client_pull

    resource, profile = series.resource, place.profile(port)
    ours = _Warm(place, profile, resource)

    def before() -> None:
        ours.before()
        place.empty("peer")

    runs = alternate(
        {
            CURL: lambda: process(place.curl(resource, port=port)),
            SYNCED: lambda: _curl_and_sync(place, resource, port),
            OURS: ours,
            PEER: lambda: dicomweb_client_pull(
                profile.url, resource.study, str(resource.series), str(place.folder / "peer")
            ),
        },
        effort=place.effort,
        before=before,
    )
    ours.close()
    return table(
        f"{title}: {series.name}",
        runs,
        [
            Goal(OURS, SYNCED, limits[0]),
            Goal(OURS, CURL, limits[1]),
            Goal(OURS, CURL, 1.6, processor=True),
            Goal(OURS, PEER, faster, at_least=True),
        ],
    )


def as_process(place: Place, series: Series) -> str:
    """Pull as a whole process, with everything that has to be imported."""
    home, resource = home_of(place, "process"), series.resource

    def before() -> None:
        place.new_archive("process")
        place.empty("peer")

    peer = [sys.executable, "-m", "benchmarks.peers"]
    arguments = [place.orthanc.url, resource.study, str(resource.series), str(place.folder / "peer")]
    runs = alternate(
        {
            CURL: lambda: process(place.curl(resource)),
            OURS: lambda: process([*_dicomdock(home), "pull", str(resource), "--json"]),
            PEER: lambda: process([*peer, "dicomweb_client_pull", *arguments]),
        },
        effort=place.effort,
        before=before,
        warm=False,
    )
    return table(f"Pull as a process: {series.name}", runs, [Goal(OURS, PEER, 1.8, at_least=True)])


def study(place: Place) -> str:
    """Pull a study of six series as a whole process."""
    home = home_of(place, "process")
    resource = Resource(place.series[0].resource.study)
    of_study = [one for one in place.series if one.resource.study == resource.study]
    peer = [sys.executable, "-m", "benchmarks.peers", "dicomweb_client_pull", place.orthanc.url]
    uids = [resource.study, *(str(one.resource.series) for one in of_study)]

    def before() -> None:
        place.new_archive("process")
        place.empty("peer")

    runs = alternate(
        {
            CURL: lambda: process(place.curl(resource)),
            SYNCED: lambda: _curl_and_sync(place, resource),
            OURS: lambda: process([*_dicomdock(home), "pull", str(resource), "--json"]),
            PEER: lambda: process([*peer, *uids, str(place.folder / "peer")]),
        },
        effort=place.effort,
        before=before,
        warm=False,
    )
    size = sum(one.bytes for one in of_study) / 1e6
    return table(
        f"Pull as a process: a study of {place.effort.series} CT series ({size:.0f} MB)",
        runs,
        [
            Goal(OURS, SYNCED, 1.4),
            Goal(OURS, CURL, 1.6, processor=True),
            Goal(OURS, PEER, 2.5, at_least=True),
        ],
    )


def far(place: Place, series: Series) -> str:
    """Pull warm with a round trip of 40 ms."""
    with delayed(place.orthanc.port, 40) as port:
        title = "Pull, warm, 40 ms round trip"
        return warm(place, series, port=port, title=title, limits=(1.15, 1.25), faster=1.0)


def many(place: Place) -> str:
    """Pull many studies of ten small instances as whole processes, with a round trip of 40 ms."""
    studies = list(place.small_studies())
    with delayed(place.orthanc.port, 40) as port:
        home = home_of(place, "many", port)
        profile = place.profile(port)
        listed = place.folder / "many.curl"
        listed.write_text(
            "".join(
                f'url = "{profile.url}{one.path}"\noutput = "{place.folder / "peer" / str(number)}"\n'
                for number, one in enumerate(studies)
            )
        )
        # Without the second option curl waits for each answer, to learn whether a connection can be shared.
        together = ["--parallel", "--parallel-immediate"]
        curl = ["curl", "-sSf", *together, "--config", str(listed), *place.curl_options]
        resources = [str(one) for one in studies]
        peer = [sys.executable, "-m", "benchmarks.peers", "dicomweb_client_studies", profile.url]

        def before() -> None:
            place.new_archive("many")
            place.empty("peer")

        runs = alternate(
            {
                PARALLEL: lambda: process(curl),
                OURS: lambda: process([*_dicomdock(home), "pull", *resources, "--json"]),
                PEER_STUDIES: lambda: process([*peer, str(place.folder / "peer"), *resources]),
            },
            effort=place.effort,
            before=before,
            warm=False,
        )
    return table(
        f"Pull as a process, 40 ms round trip: {len(studies)} studies of 10 small instances",
        runs,
        [Goal(OURS, PARALLEL, 1.3), Goal(OURS, PEER_STUDIES, 4.0, at_least=True)],
    )


def _curl_and_sync(place: Place, resource: Resource, port: int | None = None) -> int:
    """Fetch into one file that is on the disk then, as what dicomdock has received is."""
    peak = process(place.curl(resource, port=port))
    with (place.folder / "curl.bin").open("rb") as file:
        os.fsync(file.fileno())
    return peak


def _dicomdock(home: str) -> list[str]:
    return [sys.executable, "-m", "dicomdock.cli", "--home", home]


def home_of(place: Place, name: str, port: int | None = None) -> str:
    """Make a home whose default server is the Orthanc, with its password kept as the program keeps it."""
    import subprocess

    home = str(place.folder / name)
    if not load_profiles(place.settings(name)).names:
        added = [*_dicomdock(home), "server", "add", "orthanc", place.profile(port).url]
        subprocess.run(
            [*added, "--user", place.orthanc.user, "--password-stdin"],
            input=place.orthanc.password, text=True, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return home
