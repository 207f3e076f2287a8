"""3D Slicer's own WebServer module over its DICOM database, as its source describes it.

Sources
-------
Slicer/Slicer @ 583e9b3 and 8b86b1a, Modules/Scripted/WebServer/WebServerLib/DICOMRequestHandler.py:
``handleStudies`` (a list, or the study's metadata), ``handleSeries`` (a list, a list of instances, or the
series' metadata, which is read from the files and so there for every object), ``handleWADOURI``; what is none
of these is ``[{}]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import Imitation, Parameters, Row

NEEDED = ("StudyDate", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "PatientSex")


@dataclass
class Slicer(Imitation):
    """It imitates: queries that are not decoded and are cut at a second ``=``; PatientID by keyword as the
    only key; 100 studies unless asked, and pages that end only between patients, so that they are longer and
    the next repeats studies; studies left out that lack a date or such; no descriptions; counts under the
    wrong tags; a RetrieveURL of example.com; 500 for the instances of a series without Rows; ``[{}]`` for
    addresses that are not known; single instances as the whole body, and nothing else; no uploads.
    """

    base: ClassVar[str] = "/dicom"
    label: ClassVar[str] = "application/json"

    def parameters(self, query: str) -> Parameters:
        """Read the query undecoded."""
        pairs = [piece.split("=") for piece in query.split("&") if piece]
        return [(pair[0], pair[1] if len(pair) > 1 else "") for pair in pairs]

    def answer(self, request: Request, path: Sequence[str]) -> Answer:
        """Know three lists and the instance."""
        if request.method != "GET":
            return refused(404)
        query = urlsplit(request.path).query
        if not path and (uid := parse_qs(query).get("objectUID", [""])[0]):
            found = next((one for one in self.held if one.place.instance == uid), None)
            return self.single(found.data) if found else refused(404)
        names, values = list(path[0::2]), path[1::2]
        if names == ["studies"] and not values:
            return self.json([self.study(row) for row in self.studies(self.parameters(query))])
        if names == ["studies", "series"] and len(values) == 1:
            return self.json([self.series(row) for row in self.rows("series", values)])
        if names == ["studies", "series", "instances"] and len(values) == 2:
            rows = self.rows("instances", values)
            if any(tag_of(keyword) not in row for row in rows for keyword in ("Rows", "InstanceNumber")):
                return refused(500)
            keywords = ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns")
            return self.json([_only(row, keywords) for row in rows])
        if names[-1:] == ["metadata"] and len(values) in (1, 2):
            return self.json([self.described(one) for one in self.below(Resource(*values))])
        if names == ["studies", "series", "instances"] and len(values) == 3:
            found_ones = self.below(Resource(*values))
            return self.single(found_ones[0].data) if found_ones else refused(404)
        return self.json([{}])

    def studies(self, query: Parameters) -> list[Row]:
        """Return a page of studies, whole patients at a time."""
        names = {name.lower(): value for name, value in query}
        start, limit = int(names.get("offset", 0)), int(names.get("limit", 100))
        patients: dict[str, list[Row]] = {}
        for row in self.rows("studies"):
            if all(tag_of(keyword) in row for keyword in NEEDED):
                patients.setdefault(text(row, "PatientID"), []).append(row)
        if "patientid" in names:
            patients = {name: rows for name, rows in patients.items() if name == names["patientid"]}
        found: list[Row] = []
        passed = 0
        for rows in patients.values():
            if len(found) >= limit:
                break
            for row in rows:
                if passed >= start:
                    found.append(row)
                passed += 1
        return found

    def study(self, row: Row) -> Row:
        """Describe a study."""
        kept = _only(
            row, ("StudyInstanceUID", "PatientName", "PatientID", "StudyTime", "ModalitiesInStudy", *NEEDED)
        )
        kept[tag_of("StudyDescription")] = {"vr": "LO"}
        kept["00200206"] = row[tag_of("NumberOfStudyRelatedSeries")]
        kept["00200208"] = row[tag_of("NumberOfStudyRelatedInstances")]
        kept["00081190"] = {"vr": "UR", "Value": ["http://example.com"]}
        return kept

    def series(self, row: Row) -> Row:
        """Describe a series."""
        return _only(row, ("SeriesInstanceUID", "Modality", "SeriesNumber"))


def _only(row: Row, keywords: Sequence[str]) -> Row:
    return {tag_of(keyword): row[tag_of(keyword)] for keyword in keywords if tag_of(keyword) in row}
