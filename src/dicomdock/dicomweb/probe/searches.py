"""Requests of a probe that search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomdock.dicom import json_model
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.dicomweb.search_request import warnings_of
from dicomdock.dicomweb.session import JSON, read_json
from dicomdock.errors import TransactionError, WireError
from dicomdock.sources import DicomJson

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session

SAFE_LIMIT: Final = 100  # studies; what every known server gives at once
# Answers that are findings; a refused login and a server that fails or is busy end the probe.
TELLING: Final = frozenset(range(400, 600)) - {401, 403, 429, 500, 502, 503, 504}


@dataclass
class Answer:
    """What a server answered to a search.

    Parameters
    ----------
    status : of HTTP.
    rows : the matches.
    total : how many there are of all pages, where the server states it.
    warnings : of the server.
    """

    status: int
    rows: list[DicomJson]
    total: str = ""
    warnings: tuple[str, ...] = ()


class ProbeSearches:
    """Searches whose refusal is a finding, not an error.

    Parameters
    ----------
    session : the connection to the server.
    name : of the server.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._name = session, name
        self.counts: dict[Resource, tuple[int, int]] = {}
        """Series and instances of the studies that were listed, where the server counts them."""

    def ask(self, path: str, query: Sequence[tuple[str, str]]) -> Answer | None:
        """Search; None where the server refuses or answers with something else."""
        try:
            response = self._session.http.request(
                "GET",
                self._session.address("search", path),
                query=query,
                accept=JSON,
                gzip=True,
                allow=TELLING,
                what="a test search",
            )
            if not 200 <= response.status < 300:
                response.discard()
                return Answer(response.status, [])
            warnings = warnings_of(response.warning, self._name)
            rows = read_json(response, "a test search")
            if path == "/studies":
                self.count(rows)
            return Answer(response.status, rows, warnings=warnings)
        except (TransactionError, WireError):
            return None

    def count(self, rows: Sequence[DicomJson]) -> None:
        """Note how many series and instances the studies of a list have."""
        for row in rows:
            numbers = [
                json_model.text(row, f"NumberOfStudyRelated{level}") for level in ("Series", "Instances")
            ]
            study = resource_in(row)
            if study is not None and all(text.isascii() and text.isdigit() for text in numbers):
                self.counts[study] = (int(numbers[0][:9]), int(numbers[1][:9]))


def study_uid(row: DicomJson) -> str:
    """Return the Study Instance UID of a match."""
    return json_model.text(row, "0020000D")
