"""What an allowed link means: the connection it brings, and the studies it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.dicomweb import Client
    from dicomdock.launch.link import LaunchRequest
    from dicomdock.launch.trust import Allowed
    from dicomdock.sources import DicomJson, DicomSource
    from dicomdock.web.auth import Auth

# What a token alone opens should be few; a whole archive is a mistake.
MOST_STUDIES = 100
LINK_EXPIRED = "this link has expired: go back to the page that it came from and click it again"
# What a list of studies to choose from shows.
FIELDS = (
    "ModalitiesInStudy",
    "NumberOfStudyRelatedInstances",
    "PatientID",
    "PatientName",
    "StudyDate",
    "StudyDescription",
    "StudyTime",
)


def connect_link(request: LaunchRequest, allowed: Allowed, settings: Settings) -> Client:
    """Connect with the link's own token, or with the stored login where the link's server is the user's own.

    Raises
    ------
    AuthenticationError
        The stored login has no secret.
    """
    from dicomdock.dicomweb import Client, connect
    from dicomdock.web.auth import BearerAuth, HeaderAuth, NoAuth
    from dicomdock.web.transport import CHECK_LOGIN, Http

    if allowed.stored_login:
        return connect(allowed.profile, settings)
    auth: Auth = NoAuth()
    if request.token is not None:
        header, token = request.options.token_header, request.token.reveal()
        auth = BearerAuth(token) if header.lower() == "authorization" else HeaderAuth({header: token})
    http = Http(
        allowed.profile.endpoint,
        auth,
        settings.connection,
        addresses=allowed.addresses,
        remedy=CHECK_LOGIN if request.token is None else LINK_EXPIRED,
    )
    return Client(allowed.profile, settings=settings, http=http)


def studies_of_link(request: LaunchRequest, source: DicomSource) -> list[DicomJson]:
    """Search for the studies that the link's keys name, or that its token opens, newest first.

    Raises
    ------
    NotFound
        The server has nothing of it.
    """
    keys = dict(request.options.find)
    query = Query("studies", keys, fields=FIELDS, limit=None if keys else MOST_STUDIES)
    found = [match.attributes for page in source.search(query) for match in page.matches]
    if not found:
        raise NotFound(f"{source.name} has no study that the link asks for.")
    found.sort(key=lambda study: text(study, "StudyDate") + text(study, "StudyTime"), reverse=True)
    return found[: request.options.most_recent or None]


def wants_a_choice(request: LaunchRequest, found: Sequence[DicomJson]) -> bool:
    """Return whether the user should choose: the link names no study, and its token opens several."""
    return not (request.resources or request.options.find) and len(found) > 1


def resources_of(found: Iterable[DicomJson]) -> list[Resource]:
    """Return the studies that were found as resources; UIDs that cannot be right are passed over."""
    resources = []
    for study in found:
        with suppress(InvalidInput):
            resources.append(Resource(text(study, "StudyInstanceUID")))
    return resources
