"""Azure's DICOM service, as its conformance statement v2 describes it.

Sources
-------
MicrosoftDocs/azure-docs @ 01ff6a1, dicom-services-conformance-statement-v2.md; microsoft/dicom-server @
0b3972cf, QueryParser.cs (one value a key, compared whole; a key twice, one that is unknown or an empty
value is an error; ranges for dates).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import (
    JSON,
    Held,
    Imitation,
    Parameters,
    Row,
    store_response,
)
from tests.servers.matching import PARAMETERS, between, grouped, shown

KEYS = {
    "studies": {
        *("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"),
        *("ReferringPhysicianName", "StudyDate", "StudyDescription", "ModalitiesInStudy"),
    },
}
KEYS["series"] = KEYS["studies"] | {
    *("SeriesInstanceUID", "Modality", "PerformedProcedureStepStartDate", "ManufacturerModelName")
}
KEYS["instances"] = KEYS["series"] | {"SOPInstanceUID"}
SPARSE = {
    "studies": {"ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"},
    "series": {"SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances"},
    "instances": set[str](),
}
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


@dataclass
class Azure(Imitation):
    """It imitates: 100 matches unless asked, 400 above 200; 400 for keys that it does not search; no
    wildcards; 204 for nothing; newest first; few columns unless asked for; JSON as the one answer that may be
    accepted, 406 for a list; no binary values in metadata; instances as parts or alone; uploads that need a
    PatientID, 43264 where it is missing and 45070 for what is there already; a preamble that comes back as
    zeros; deletion at all levels; no thumbnails.
    """

    base: ClassVar[str] = "/v2"

    def refuses(self, level: str, query: Parameters) -> Answer | None:
        """Refuse what is not searched."""
        names = dict(query)
        if not 1 <= int(names.get("limit", 100)) <= 200:
            return refused(400)
        if set(names) - PARAMETERS - KEYS[level] or not all(value for _, value in query):
            return refused(400)
        return refused(400) if any(len(values) > 1 for values in grouped(query).values()) else None

    def satisfies(self, level: str, row: Row, name: str, wanted: Sequence[str]) -> bool:
        """Compare the whole value, without case as its database does; dates may be ranges."""
        if name.endswith("Date"):
            return any(between(wanted[0], value) for value in shown(row, name))
        return wanted[0].lower() in [value.lower() for value in shown(row, name)]

    def guard(self, request: Request, path: str) -> Answer | None:
        """Accept one form of JSON and no list."""
        accept = request.headers.get("Accept", "")
        wants_json = request.method == "POST" or path.endswith(("/metadata", "/studies"))
        return refused(406) if wants_json and accept not in (JSON, "*/*") else None

    def rows(self, level: str, values: Sequence[str] = ()) -> list[Row]:
        """Return the newest first."""
        return super().rows(level, values)[::-1]

    def page(self, level: str, found: list[Row], query: Parameters) -> list[Row]:
        """Return 100 by default."""
        return super().page(level, found, [("limit", "100"), *query])

    def row(self, level: str, row: Row, query: Parameters) -> Row:
        """Leave out what was not asked for."""
        fields = {value for name, value in query if name == "includefield"}
        found = super().row(level, row, query)
        return found if "all" in fields else _without(found, SPARSE[level] - fields)

    def nothing(self) -> Answer:
        """Say 204."""
        return refused(204)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Return one instance as the whole body where that is asked for."""
        if place.level == "instance" and accept.startswith("application/dicom") and self.below(place):
            return self.single(self.sent_as(self.below(place)[0], accept))
        return super().retrieve(place, accept)

    def described(self, one: Held) -> Row:
        """Leave binary values out altogether."""
        return {tag: item for tag, item in one.attributes.items() if item.get("vr") not in _BINARY}

    def keep(self, one: Held) -> int:
        """Refuse what has no patient or is there."""
        if not text(one.attributes, "PatientID"):
            return 43264
        if any(other.place == one.place for other in self.held):
            return 45070
        self.held.append(Held(one.attributes, bytes(128) + one.data[128:]))
        return 0

    def told(self, request: Request, stored: list[Row], failed: list[Row]) -> Answer:
        """Answer in JSON."""
        status = 200 if not failed else 202 if stored else 409
        return self.json(store_response(stored, failed), status)

    def delete(self, place: Resource) -> Answer:
        """Delete anything."""
        return refused(204 if self.forget(place) else 404)


def _without(row: Row, keywords: set[str]) -> Row:
    left_out = {tag_of(keyword) for keyword in keywords}
    return {tag: item for tag, item in row.items() if tag not in left_out}
