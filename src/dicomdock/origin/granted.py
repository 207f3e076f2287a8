"""Grants: the part of a source that the token of a request opens.

The limit lies in front of the source, behind everything that reads addresses: however a request is written,
what it asks the source for is a parsed query or resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Forbidden
from dicomdock.sources import DicomJson, DicomSource, Page, Part, StoreResult

GRANT = "dicomdock.grant"
"""The key of a request's scope that holds the Resource which its token opens; absent where it opens all."""
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Granted:
    """A source of which only one study, series or instance can be read, and nothing written.

    Parameters
    ----------
    source : the whole.
    granted : what may be read of it.
    """

    def __init__(self, source: DicomSource, granted: Resource) -> None:
        self._source = source
        self._granted = granted
        uids = (granted.study, granted.series, granted.instance)
        self._named = {keyword: uid for keyword, uid in zip(_UIDS, uids, strict=True) if uid}

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    def search(self, query: Query) -> Iterator[Page]:
        """Search where the query names exactly what is granted.

        Raises
        ------
        Forbidden
            It names something else, or more.
        """
        if any(query.match.get(keyword) != uid for keyword, uid in self._named.items()):
            raise self._refusal()
        for page in self._source.search(query):
            for match in page.matches:
                study = text(match.attributes, "StudyInstanceUID")
                if study != self._granted.study:  # a source that misreads the key
                    raise self._refusal()
            yield page

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Retrieve a resource within the grant.

        Raises
        ------
        Forbidden
            It lies outside.
        """
        return self._source.retrieve(self._checked(resource))

    def metadata(self, resource: Resource) -> Iterator[DicomJson]:
        """Return the metadata of a resource within the grant.

        Raises
        ------
        Forbidden
            It lies outside.
        """
        return self._source.metadata(self._checked(resource))

    def store(self, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:  # noqa: ARG002
        """Refuse to store: a grant is for reading.

        Raises
        ------
        Forbidden
            Always.
        """
        raise Forbidden("This token is for reading only.")

    def delete(self, resource: Resource) -> None:  # noqa: ARG002
        """Refuse to delete: a grant is for reading.

        Raises
        ------
        Forbidden
            Always.
        """
        raise Forbidden("This token is for reading only.")

    def _checked(self, resource: Resource) -> Resource:
        if not self._granted.contains(resource):
            raise self._refusal()
        return resource

    def _refusal(self) -> Forbidden:
        return Forbidden(f"This token is for another {self._granted.level}.")
