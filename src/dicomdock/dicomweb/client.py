"""Client: a DICOMweb server as a ``DicomSource``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import ServerProfile
from dicomdock.config.settings import Settings
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dicomweb import retrieve, search
from dicomdock.dicomweb.session import Session
from dicomdock.sources import DicomJson, DicomSource, Page, Part, StoreResult

if TYPE_CHECKING:
    from dicomdock.web.auth import Auth
    from dicomdock.web.transport import Http


class Client(DicomSource):
    """A DICOMweb server; safe to use from several threads at once.

    What it learns of the server (a retrieval form that works, a field that is refused) lasts as long
    as the client, so one client for many requests is better than many clients.

    Parameters
    ----------
    profile : the server.
    auth : the login; without one, nothing is sent.
    http : the connection, where the caller shares or replaces it; closed with the client all the same.
    """

    def __init__(
        self,
        profile: ServerProfile,
        *,
        settings: Settings,
        auth: Auth | None = None,
        http: Http | None = None,
    ) -> None:
        if http is None:
            from dicomdock.web.auth import NoAuth
            from dicomdock.web.transport import Http as RealHttp

            http = RealHttp(profile.endpoint, auth or NoAuth(), settings.connection)
        self.session = Session(http, profile, settings, profile.dialect)

    @property
    def name(self) -> str:
        """The server's name, as shown to the user."""
        return self.session.name

    @property
    def profile(self) -> ServerProfile:
        """The profile that this client was made with."""
        return self.session.profile

    @property
    def dialect(self) -> Dialect:
        """The server's dialect as known now; ``retrieve_level`` is what comes in one stream."""
        return self.session.dialect

    def wait_when_asked(self) -> None:
        """Wait from now on where the server answers with Retry-After, as transfers do; else tries are few."""
        self.session.http.wait_when_asked()
        self.session.patient = True

    def search(self, query: Query) -> Iterator[Page]:
        """Find studies, series or instances."""
        return search.search(self.session, query)

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Fetch instances as stored, in one stream where the server can."""
        if resource.level == "frames":
            from dicomdock.dicomweb import bulkdata

            return bulkdata.frames(self.session, resource)
        return retrieve.retrieve(self.session, resource)

    def metadata(self, resource: Resource) -> Iterator[DicomJson]:
        """Yield the attributes of every instance."""
        return retrieve.metadata(self.session, resource)

    def store(self, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:
        """Store instances in parallel batches and yield the outcome of each, as batches end."""
        from dicomdock.dicomweb import store

        return store.store(self.session, parts, study=study)

    def delete(self, resource: Resource) -> None:
        """Delete a study, series or instance."""
        from dicomdock.dicomweb import delete

        delete.delete(self.session, resource)

    def frames(self, resource: Resource, accept: str = "") -> Iterator[Part]:
        """Yield frames in the order requested."""
        from dicomdock.dicomweb import bulkdata

        return bulkdata.frames(self.session, resource, accept)

    def bulk(self, uri: str, within: Resource | None = None) -> Iterator[Part]:
        """Yield the bulk data of a BulkDataURI of the metadata of ``within``."""
        from dicomdock.dicomweb import bulkdata

        return bulkdata.bulk(self.session, uri, within)

    def rendered(
        self,
        resource: Resource,
        *,
        viewport: tuple[int, int] | None = None,
        window: tuple[float, float] | None = None,
        accept: str = "image/jpeg",
    ) -> tuple[str, bytes]:
        """Return a rendered image: its media type and bytes."""
        from dicomdock.dicomweb import rendered

        return rendered.rendered(self.session, resource, viewport=viewport, window=window, accept=accept)

    def thumbnail(self, resource: Resource, *, viewport: tuple[int, int] = (128, 128)) -> tuple[str, bytes]:
        """Return a thumbnail: its media type and bytes."""
        from dicomdock.dicomweb import rendered

        return rendered.thumbnail(self.session, resource, viewport=viewport)

    def close(self) -> None:
        """Close the connections."""
        self.session.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
