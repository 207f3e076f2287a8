"""Google Cloud Healthcare, as its conformance page, quotas and its users' reports describe it.

Sources
-------
Not open source. docs.cloud.google.com/healthcare-api/docs/dicom (conformance statement: exact match, a
range for StudyDate, no wildcards, no lists) and its quotas; reports named in shared reference:
OHIF/Viewers#489, imi-bigpicture/wsidicom#141, GoogleCloudPlatform/healthcare-dicom-dicomweb-adapter @
74c1807.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import JSON, Held, Imitation, Parameters, Row, store_response
from tests.servers.matching import PARAMETERS, between, shown

KEYS = {
    "studies": {
        *("StudyInstanceUID", "PatientName", "PatientID", "AccessionNumber"),
        *("ReferringPhysicianName", "StudyDate"),
    },
}
KEYS["series"] = KEYS["studies"] | {"SeriesInstanceUID", "Modality"}
KEYS["instances"] = KEYS["series"] | {"SOPInstanceUID"}
USUAL = {"studies": 100, "series": 1000, "instances": 1000}
MOST = {"studies": 5000, "series": 5000, "instances": 50000}


@dataclass
class Google(Imitation):
    """It imitates: six keys for studies, 400 that names any other key or field; no wildcards; 100 studies or
    1,000 others in a page unless asked, 400 above 5,000 and 50,000; 204 for nothing; no order; no
    thumbnails; XML as the answer to uploads unless JSON is asked for; 200 for the same bytes again and 409
    with reason 272 for others; 429 with Retry-After; 404 for uploads without a login; deletion at all levels.

    Which fields are refused is known from reports only for some; a column of lists is among them here, so
    that leaving it out is tried.

    Parameters
    ----------
    refused_fields : fields that must not be asked for.
    every : each so-many-th request is one too many.
    token : the Bearer token that is wanted; empty for none.
    """

    base: ClassVar[str] = "/v1/projects/p/locations/l/datasets/d/dicomStores/s/dicomWeb"

    refused_fields: frozenset[str] = frozenset(
        {"AvailableTransferSyntaxUID", "StudyID", "NumberOfStudyRelatedSeries"}
    )
    every: int = 9
    token: str = ""

    def guard(self, request: Request, path: str) -> Answer | None:
        """Want a token, and not too many requests."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return refused(404 if request.method == "POST" else 401)
        if self.every and len(self.asked) % self.every == 0:
            return Answer(429, b"", {"Retry-After": "0"})
        return None

    def refuses(self, level: str, query: Parameters) -> Answer | None:
        """Name what is not known."""
        names = dict(query)
        fields = {one for name, value in query if name == "includefield" for one in value.split(",")}
        unknown = (set(names) - PARAMETERS - KEYS[level]) | (fields & self.refused_fields)
        if unknown:
            return self.error(f"unsupported attribute {sorted(unknown)[0]}")
        if any("*" in value for name, value in query if name not in PARAMETERS):
            return self.error("wildcards are not supported")
        if not 0 < int(names.get("limit", 1)) <= MOST[level]:
            return self.error("limit is out of range")
        return None

    def satisfies(self, level: str, row: Row, name: str, wanted: Sequence[str]) -> bool:
        """Compare as written; StudyDate may be a range."""
        if name in ("StudyDate", "00080020"):
            return any(between(wanted[0], value) for value in shown(row, name))
        return wanted[0] in shown(row, name)

    def error(self, words: str, status: int = 400) -> Answer:
        """Answer as Google's APIs do."""
        return Answer(
            status,
            f'[{{"error": {{"code": {status}, "message": "{words}"}}}}]'.encode(),
            {"Content-Type": "application/json; charset=utf-8"},
        )

    def page(self, level: str, found: list[Row], query: Parameters) -> list[Row]:
        """Return a page of the usual size."""
        names = dict(query)
        start = int(names.get("offset", 0))
        return found[start : start + int(names.get("limit", USUAL[level]))]

    def nothing(self) -> Answer:
        """Say 204."""
        return refused(204)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Return one instance as the whole body where that is asked for."""
        if place.level == "instance" and accept.startswith("application/dicom") and self.below(place):
            return self.single(self.sent_as(self.below(place)[0], accept))
        return super().retrieve(place, accept)

    def keep(self, one: Held) -> int:
        """Refuse other bytes under a UID that is there."""
        known = next((other for other in self.held if other.place == one.place), None)
        if known is None:
            self.held.append(one)
        return 272 if known is not None and known.data != one.data else 0

    def told(self, request: Request, stored: list[Row], failed: list[Row]) -> Answer:
        """Answer in XML by default, and 409 as soon as anything failed."""
        status = 409 if failed else 200
        if JSON in request.headers.get("Accept", "").split(";")[0].split(","):
            return self.json(store_response(stored, failed), status)
        items = {"00081199": ("ReferencedSOPSequence", stored), "00081198": ("FailedSOPSequence", failed)}
        return Answer(status, _xml(items).encode(), {"Content-Type": "application/dicom+xml"})

    def delete(self, place: Resource) -> Answer:
        """Delete anything; a study's deletion goes on for a while, of which the answer tells."""
        if not self.forget(place):
            return refused(404)
        return self.json({"name": "projects/p/locations/l/datasets/d/operations/1"})


def _xml(sequences: dict[str, tuple[str, Sequence[Row]]]) -> str:
    """Write a store response in the XML of PS3.19, as the service does unless told otherwise."""
    written = ""
    for tag, (keyword, rows) in sequences.items():
        items = "".join(
            f'<Item number="{number}">'
            + "".join(
                f'<DicomAttribute tag="{name}" vr="{item["vr"]}">'
                f'<Value number="1">{item["Value"][0]}</Value></DicomAttribute>'
                for name, item in row.items()
            )
            + "</Item>"
            for number, row in enumerate(rows, 1)
        )
        if rows:
            written += f'<DicomAttribute tag="{tag}" vr="SQ" keyword="{keyword}">{items}</DicomAttribute>'
    return f"<NativeDicomModel>{written}</NativeDicomModel>"
