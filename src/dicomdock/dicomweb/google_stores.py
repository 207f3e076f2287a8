"""Google's stores: projects, locations, datasets and DICOM stores as lists to choose from, without gcloud.

References
----------
Cloud Healthcare API v1, REST (projects.locations, .datasets, .dicomStores); Resource Manager API v1
(projects.list).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from dicomdock.config.servers import ServerProfile
from dicomdock.dicomweb.auth.issuer import json_object
from dicomdock.errors import InvalidInput
from dicomdock.web.transport import Http
from dicomdock.web.url import Origin

if TYPE_CHECKING:
    from dicomdock.config.settings import Settings
    from dicomdock.sources import JsonValue
    from dicomdock.web.auth import Auth

HEALTHCARE: Final = "https://healthcare.googleapis.com"
PROJECTS: Final = "https://cloudresourcemanager.googleapis.com"
MAX_ANSWER: Final = 8 << 20  # bytes of one page of a list
MAX_PAGES: Final = 200  # of one list; an answer that always names a next page must end somewhere
_PATH: Final = re.compile(
    r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/datasets/(?P<dataset>[^/]+)"
    r"/dicomStores/(?P<store>[^/]+?)(/dicomWeb)?/?\Z"
)
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,256}\Z")  # a project may be example.com:name


@dataclass(frozen=True)
class Entry:
    """One of a list.

    Parameters
    ----------
    name : what the API calls it: the last piece of its path.
    title : what people call it, where it has such a name.
    """

    name: str
    title: str = ""

    def __str__(self) -> str:
        return f"{self.title} ({self.name})" if self.title and self.title != self.name else self.name


def store_url(path: str, healthcare: str = HEALTHCARE) -> str:
    """Return the DICOMweb base URL of ``projects/P/locations/L/datasets/D/dicomStores/S``.

    Raises
    ------
    InvalidInput
        The path is not one of a store.
    """
    found = _PATH.match(path.strip().lstrip("/"))
    if found is None or not all(_NAME.match(piece) for piece in found.groupdict().values()):
        raise InvalidInput(
            f"{path[:120]!r} does not name a store; it looks like"
            " projects/PROJECT/locations/LOCATION/datasets/DATASET/dicomStores/STORE."
        )
    project, location, dataset, store = found.group("project", "location", "dataset", "store")
    location_path = f"{healthcare}/v1/projects/{project}/locations/{location}"
    return f"{location_path}/datasets/{dataset}/dicomStores/{store}/dicomWeb"


class Stores:
    """What one Google account may see. A context manager.

    Parameters
    ----------
    auth : the Google login.
    profile : whose proxy and certificate authorities are used.
    healthcare, projects : addresses of the two APIs.
    """

    def __init__(
        self,
        auth: Auth,
        profile: ServerProfile,
        settings: Settings,
        *,
        healthcare: str = HEALTHCARE,
        projects: str = PROJECTS,
    ) -> None:
        self._healthcare, self._projects = (
            Http(profile.endpoint.beside(url, Origin.parse(url).netloc), auth, settings.connection)
            for url in (healthcare, projects)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._healthcare.close()
        self._projects.close()

    def projects(self) -> list[Entry]:
        """Return the projects that are in use.

        Raises
        ------
        AuthenticationError
            The account may not list projects; it may still know the name of one.
        """
        query = (("filter", "lifecycleState:ACTIVE"),)
        rows = self._listed(self._projects, "/v1/projects", "projects", "the list of Google projects", query)
        return [Entry(_text(row, "projectId"), _text(row, "name")) for row in rows]

    def locations(self, project: str) -> list[Entry]:
        """Return the locations where a project can have datasets."""
        path = f"/v1/projects/{_piece(project)}/locations"
        rows = self._listed(self._healthcare, path, "locations", "the list of locations")
        return [Entry(_last(row), _text(row, "displayName")) for row in rows]

    def datasets(self, project: str, location: str) -> list[Entry]:
        """Return the datasets of a project at a location."""
        path = f"/v1/projects/{_piece(project)}/locations/{_piece(location)}/datasets"
        rows = self._listed(self._healthcare, path, "datasets", "the list of datasets")
        return [Entry(_last(row)) for row in rows]

    def stores(self, project: str, location: str, dataset: str) -> list[Entry]:
        """Return the DICOM stores of a dataset."""
        location_path = f"/v1/projects/{_piece(project)}/locations/{_piece(location)}"
        path = f"{location_path}/datasets/{_piece(dataset)}/dicomStores"
        rows = self._listed(self._healthcare, path, "dicomStores", "the list of DICOM stores")
        return [Entry(_last(row)) for row in rows]

    def _listed(
        self, http: Http, path: str, key: str, what: str, query: tuple[tuple[str, str], ...] = ()
    ) -> Iterator[dict[str, JsonValue]]:
        """Yield the rows of a list, page by page."""
        page: tuple[tuple[str, str], ...] = ()
        for _ in range(MAX_PAGES):
            asked = (*query, *page)
            with http.request("GET", path, query=asked, accept="application/json", what=what) as answer:
                table = json_object(answer.read(MAX_ANSWER), what, answer.url)
            rows = table.get(key, [])
            yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
            following = table.get("nextPageToken")
            if not isinstance(following, str) or not following:
                return
            page = (("pageToken", following),)


def _text(row: dict[str, JsonValue], key: str) -> str:
    value = row.get(key, "")
    return value if isinstance(value, str) else ""


def _last(row: dict[str, JsonValue]) -> str:
    return _text(row, "name").rpartition("/")[2]


def _piece(name: str) -> str:
    if not _NAME.match(name):
        raise InvalidInput(f"{name[:80]!r} cannot be a name at Google.")
    return quote(name, safe=":")
