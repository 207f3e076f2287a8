"""What an allowed link means: the connection it brings, and the studies it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomdock.errors import NotFound
from dicomdock.query import Query, text
from dicomdock.resource import Resource

if TYPE_CHECKING:
    from dicomdock.dicomweb import Client
    from dicomdock.dicomweb.auth import Auth
    from dicomdock.launch.link import LaunchRequest
    from dicomdock.launch.trust import Allowed
    from dicomdock.settings import Settings
    from dicomdock.source import DicomSource

# What a token alone opens should be few; a whole archive is a mistake.
MOST_STUDIES = 100


def connect_link(request: LaunchRequest, allowed: Allowed, settings: Settings) -> Client:
    """Connect with the link's own token, or with the stored login where the link's server is the user's own.

    Raises
    ------
    AuthenticationError
        The stored login has no secret.
    """
    from dicomdock.dicomweb import Client, connect
    from dicomdock.dicomweb.auth import BearerAuth, HeaderAuth, NoAuth
    from dicomdock.dicomweb.http import Http

    if allowed.stored_login:
        return connect(allowed.profile, settings)
    auth: Auth = NoAuth()
    if request.token is not None:
        header, token = request.options.token_header, request.token.reveal()
        auth = BearerAuth(token) if header.lower() == "authorization" else HeaderAuth({header: token})
    http = Http(allowed.profile, auth, settings, addresses=allowed.addresses)
    return Client(allowed.profile, settings=settings, http=http)


def resources_of_link(request: LaunchRequest, source: DicomSource) -> list[Resource]:
    """Give what the link asks for: by UIDs, by keys, or the studies that its token opens, newest first.

    Raises
    ------
    NotFound
        The server has nothing of it.
    """
    if request.resources:
        return list(request.resources)
    keys = dict(request.options.find)
    query = Query("studies", keys, fields=("StudyDate", "StudyTime"), limit=None if keys else MOST_STUDIES)
    found = [match.attributes for page in source.search(query) for match in page.matches]
    if not found:
        raise NotFound(f"{source.name} has no study that the link asks for.", status=404)
    found.sort(key=lambda study: text(study, "StudyDate") + text(study, "StudyTime"), reverse=True)
    chosen = found[: request.options.most_recent or None]
    return [Resource(text(study, "StudyInstanceUID")) for study in chosen]
