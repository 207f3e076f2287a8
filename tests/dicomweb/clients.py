"""Clients of the servers that these tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import Login, ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicomweb import Client
from dicomdock.sources import Part
from dicomdock.web.auth import Auth, BasicAuth
from dicomdock.web.request import Request
from dicomdock.web.url import Url
from tests.builders import Made
from tests.servers.canned import Answer, answering
from tests.servers.canned import Request as Received
from tests.servers.orthanc import Orthanc


@contextmanager
def client_of(
    server: Callable[[Received], Answer | None],
    settings: Settings,
    *,
    name: str = "awkward",
    **habits: object,
) -> Iterator[Client]:
    """Run a server and give a client of it.

    Parameters
    ----------
    habits : what the profile's dialect says of the server.
    """
    with answering(server) as canned:
        profile = ServerProfile(name, canned.url, dialect=replace(Dialect(), **habits))
        with Client(profile, settings=replace(settings, retries=1)) as client:
            yield client


def orthanc_client(server: Orthanc, settings: Settings, **habits: object) -> Client:
    """Return a client of a real Orthanc, logged in."""
    login = Login("basic", server.user)
    profile = ServerProfile("orthanc", server.url, login, replace(Dialect(), **habits))
    return Client(profile, settings=settings, auth=BasicAuth(server.user, server.password))


def login_fields(auth: Auth, url: str = "https://pacs.example/studies") -> dict[str, str]:
    """Return the header fields that a login adds to a request."""
    return dict(auth.authorize(Request("GET", Url.parse(url))).headers)


def parts_of(series: Iterable[Made]) -> Iterator[Part]:
    """Yield instances as they are sent."""
    for made in series:
        yield Part("application/dicom", lambda made=made: iter([made.data]), len(made.data))
