"""Every server that is known to differ, each with the same study in it, reached by its address alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import pytest

from dicomdock.config.home import write_private
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import FILE, load_profiles
from dicomdock.config.settings import Settings
from tests.builders import Made, ct_series, document
from tests.cli.conftest import Run, run
from tests.servers.canned import answering
from tests.servers.imitations import (
    Aws,
    Azure,
    Dcm4chee,
    Dcmjs,
    Google,
    Imitation,
    Kheops,
    Slicer,
    StaticWado,
)
from tests.servers.imitations.base import small

__all__ = ["run"]

FEW = 12  # studies beside the one that is looked for
CROWD = 1100  # studies; more than any server gives at once


@dataclass(frozen=True)
class Case:
    """A server and what it can do.

    Parameters
    ----------
    url : all that the user knows.
    login : words for ``server add``.
    secret : what it reads.
    stores : it takes uploads.
    rewrites : it changes what it stores outside of the data set.
    shows_descriptions : a search can be for the description of a study.
    deletes : the levels that it deletes.
    imitation : the server itself, where it runs in this process.
    """

    url: str
    login: tuple[str, ...] = ()
    secret: str = ""
    stores: bool = True
    rewrites: bool = False
    shows_descriptions: bool = True
    deletes: tuple[str, ...] = ()
    imitation: Imitation | None = None


@cache
def head() -> tuple[Made, ...]:
    """Return the study that is looked for: three slices of CT and a PDF."""
    shared = {
        "PatientName": "Head^Ada",
        "PatientID": "H1",
        "StudyDate": "20231224",
        "AccessionNumber": "N77",
        "StudyDescription": "Christmas",
    }
    slices = ct_series(3, **shared)
    return (*slices, document(StudyInstanceUID=slices[0].study, SeriesNumber=2, **shared))


@cache
def news() -> tuple[Made, ...]:
    """Return a study to be sent."""
    first = small(PatientName="New^Nora", PatientID="N1")
    uids = {"StudyInstanceUID": first.study, "SeriesInstanceUID": first.series}
    return (first, small(PatientName="New^Nora", PatientID="N1", InstanceNumber=2, **uids))


@cache
def _few() -> tuple[Made, ...]:
    """Return studies beside the one that is looked for; small, but a probe can try everything with them."""
    return tuple(
        small(PatientID=f"F{index}", PatientName=f"Few^Nr{index}", StudyDate=f"202205{index + 10}", Rows=4)
        for index in range(FEW)
    )


def _imitated(make: Callable[[], Imitation], **facts: object) -> Callable[..., Iterator[Case]]:
    def case(_: pytest.FixtureRequest) -> Iterator[Case]:
        server = make()
        server.add(_few())
        server.add(head() if not isinstance(server, Slicer) else head()[:3])
        with answering(server) as canned:
            yield Case(canned.url + server.base, imitation=server, **facts)

    return case


def _orthanc(fixture: str) -> Callable[..., Iterator[Case]]:
    def case(request: pytest.FixtureRequest) -> Iterator[Case]:
        server = request.getfixturevalue(fixture)
        server.add(*(one.data for one in head()))
        yield Case(server.url, ("--user", server.user, "--password-stdin"), server.password)

    return case


def _tiny_pacs(request: pytest.FixtureRequest) -> Iterator[Case]:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.dicomweb import Client
    from dicomdock.sources import Part

    server = request.getfixturevalue("tiny_pacs")
    with Client(ServerProfile("tiny", server.url), settings=request.getfixturevalue("settings")) as client:
        parts = [
            Part("application/dicom", lambda one=one: iter([one.data]), resource=one.resource)
            for one in head()
        ]
        assert {result.status for result in client.store(parts)} == {"stored"}
    yield Case(server.url, rewrites=True)


EVERY = ("study", "series", "instance")
SERVERS: dict[str, Callable[..., Iterator[Case]]] = {
    "standard": _imitated(Imitation),
    "dcm4chee": _imitated(Dcm4chee, deletes=EVERY),
    "google": _imitated(Google, deletes=EVERY),
    "kheops": _imitated(Kheops, deletes=("study", "series")),
    "kheops-strict": _imitated(lambda: Kheops(strict=True), deletes=("study", "series"), rewrites=True),
    "dcmjs": _imitated(Dcmjs, shows_descriptions=False, deletes=("study", "series")),
    "slicer": _imitated(Slicer, shows_descriptions=False, stores=False),
    "aws": _imitated(Aws),
    "azure": _imitated(Azure, deletes=EVERY, rewrites=True),
    "static-wado": _imitated(StaticWado, shows_descriptions=False, stores=False),
    "static-wado-node": _imitated(
        lambda: StaticWado(names_boundary=True), shows_descriptions=False, stores=False
    ),
    "orthanc": _orthanc("orthanc"),
    "orthanc-next": _orthanc("orthanc_next"),
    "tiny-pacs": _tiny_pacs,
}
REAL = ("orthanc", "orthanc-next", "tiny-pacs")


@contextmanager
def running(name: str, request: pytest.FixtureRequest) -> Iterator[Case]:
    """Run one of the servers."""
    server = SERVERS[name](request)
    try:
        yield next(server)
    finally:
        for _ in server:
            pass


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.servers if name in REAL else ()) for name in SERVERS]
)
def case(request: pytest.FixtureRequest, run: Run) -> Iterator[Case]:
    """Yield each server in turn, known as ``there`` by nothing but its address and login."""
    with running(request.param, request) as one:
        _add(request.param, one, run)
        yield one


_ADDED: dict[str, tuple[str, bytes]] = {}  # a server -> its host and port, and what was saved of it


def _add(name: str, one: Case, run: Run) -> None:
    """Add a server by its address and login alone, and so let it be tested; once for all tests of a process.

    A later test is given what the first saved, with the port that the server has now.
    """
    settings, host = Settings.load(), urlsplit(one.url).netloc
    saved = settings.config / FILE
    if name in _ADDED:
        before, text = _ADDED[name]
        saved.parent.mkdir(parents=True)
        write_private(saved, text.replace(before.encode(), host.encode()))
        if one.secret:
            profile = load_profiles(settings).get("there")
            Secrets(settings).set(profile.name, profile.origin, one.secret)
    else:
        added = run("server", "add", "there", one.url, *one.login, stdin=one.secret)
        assert added.code == 0, added.err
        _ADDED[name] = host, saved.read_bytes()
