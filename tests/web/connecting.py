"""A test's connection to a server of its own, and what goes over it."""

from __future__ import annotations

from dicomdock.config.servers import ServerProfile
from dicomdock.sources import Part
from dicomdock.web.auth import NoAuth
from dicomdock.web.multipart.writer import MultipartBody
from dicomdock.web.transport import Http
from tests.dicomweb.sockets import Connection
from tests.servers.canned import Answer

SECRET = "hunter2-token"


def line(url, settings, auth=None, hold=None, **profile):
    """Connect to an address, with no login unless one is given."""
    endpoint = ServerProfile("pacs", url, **profile).endpoint
    return Http(endpoint, auth or NoAuth(), settings.connection, hold=hold)


def instance(payload: bytes = b"x" * 100, opened: list[int] | None = None) -> MultipartBody:
    """Make a body of one instance; ``opened`` gets an item whenever it is read."""

    def opener():
        if opened is not None:
            opened.append(1)
        return iter([payload])

    return MultipartBody([Part("application/dicom", opener, length=len(payload))])


def answers(*replies: Answer):
    """Reply with one after the other, the last one for ever."""
    rest = list(replies)
    return lambda _: rest.pop(0) if len(rest) > 1 else rest[0]


def target(request: bytes) -> str:
    """Return what a request asks for."""
    return request.split(b" ")[1].decode("ascii")


def again_and_again(connection: Connection) -> None:
    """Answer each request of a connection with an empty list."""
    while connection.request():
        connection.say(body=b"[]")
