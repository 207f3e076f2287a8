"""The dcmjs dicomweb-server over CouchDB, as its source describes it.

Sources
-------
dcmjs-org/dicomweb-server @ f8b33d2, plugins/CouchDB.js (``queryObj``: the first value, letter by letter;
``getQIDOStudies``: which keys there are) and routes/qido.js.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import BOUNDARY, Held, Imitation, Parameters, Row, readable
from tests.servers.matching import as_written, grouped

KEYS = {
    "studies": {
        *("StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID"),
        *("StudyInstanceUID", "StudyID"),
    },
    "series": {"Modality", "SeriesInstanceUID", "SeriesNumber"},
    "instances": set[str](),
}
_PLAIN = {"Content-Type": "text/plain"}


@dataclass
class Dcmjs(Imitation):
    """It imitates: ``offset`` that is ignored, ``limit`` for studies and series only; keys by keyword alone,
    compared as written; dates, wildcards and fields ignored; lists of instances below a series only; an index
    that shows uploads one search late; parts that carry no quoted type, whatever was accepted; 500 for an
    unknown study; ``success`` as the answer to an upload, and 500 for one that cannot be read; a second copy
    that replaces the first; relative bulk data addresses that lead nowhere; WADO-URI at the root; studies and
    series deleted with a word.
    """

    base: ClassVar[str] = ""
    label: ClassVar[str] = "application/json"

    shown: list[Held] = field(default_factory=list)

    def hold(self, further: Sequence[Held]) -> None:
        """Index what is put in at once."""
        super().hold(further)
        self.shown = list(self.held)

    def answer(self, request: Request, path: Sequence[str]) -> Answer:
        """Know few lists, and WADO-URI."""
        if not path and request.method == "GET":
            return self.by_uri(request)
        known = (["studies"], ["studies", "series"], ["studies", "series", "instances"])
        if request.method == "GET" and len(path) % 2 and path[-1] in ("studies", "series", "instances"):
            return super().answer(request, path) if list(path[0::2]) in known else refused(404)
        return super().answer(request, path)

    def by_uri(self, request: Request) -> Answer:
        """Return one instance by its UID."""
        wanted = parse_qs(urlsplit(request.path).query).get("objectUID", [""])[0]
        found = next((one for one in self.held if one.place.instance == wanted), None)
        return self.single(found.data) if found else refused(404)

    def matching(self, level: str, values: Sequence[str], query: Parameters) -> list[Row]:
        """Compare as written; the index is as old as the search before."""
        now, self.held = self.held, self.shown or self.held
        rows = self.rows(level, values)
        self.held = now
        self.shown = list(now)
        wanted = {name: values for name, values in grouped(query).items() if name in KEYS[level]}
        return [row for row in rows if all(as_written(row, name, one) for name, one in wanted.items())]

    def page(self, level: str, found: list[Row], query: Parameters) -> list[Row]:
        """Start always at the beginning."""
        return found if level == "instances" else found[: int(dict(query).get("limit", len(found)))]

    def row(self, level: str, row: Row, query: Parameters) -> Row:
        """Return the defaults, whatever is asked for."""
        return super().row(level, row, [])

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Return parts as stored."""
        found = self.below(place)
        if not found:
            return refused(500)
        label = f"multipart/related;type=application/dicom;boundary={BOUNDARY}"
        return self.parts([one.data for one in found], label=label)

    def metadata(self, place: Resource, accept: str) -> Answer:
        """Know nothing without an error."""
        return self.json([self.described(one) for one in self.below(place)])

    def store(self, request: Request, study: str) -> Answer:
        """Take all or fail."""
        found = [readable(data) for data in self.sent(request)]
        for one in found:
            if one is None:
                return Answer(500, b"Error: invalid DICOM file", _PLAIN)
            self.held = [other for other in self.held if other.place != one.place]
            self.held.append(one)
        return Answer(200, b"success", _PLAIN)

    def delete(self, place: Resource) -> Answer:
        """Delete studies and series."""
        if place.level == "instance":
            return refused(404)
        self.forget(place)
        self.shown = list(self.held)
        return Answer(200, b"success", _PLAIN)
