"""AWS HealthImaging, as its developer guide describes it.

Sources
-------
Not open source. docs.aws.amazon.com/healthimaging/latest/devguide, the dicomweb pages: keys are compared
whole, dates may be ranges; nothing is said of lists or wildcards, so that neither works here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import Imitation, Parameters, Row
from tests.servers.matching import between, shown

MOST = 10_000


@dataclass
class Aws(Imitation):
    """It imitates: lists below a study only, 10,000 records at most, newest studies first, no ``offset``;
    instances one at a time as the whole body; metadata of series and instances; throttling without a
    Retry-After; answers in JSON to uploads; data that contradict what is there and are then not found; no
    deletion by DICOMweb.

    Parameters
    ----------
    every : each so-many-th request is one too many.
    """

    base: ClassVar[str] = "/datastore/0123456789abcdef0123456789abcdef"

    every: int = 25

    def guard(self, request: Request, path: str) -> Answer | None:
        """Throttle."""
        if self.every and len(self.asked) % self.every == 0:
            return Answer(429, b'{"message": "Rate exceeded"}', {"x-amzn-ErrorType": "ThrottlingException"})
        return None

    def answer(self, request: Request, path: Sequence[str]) -> Answer:
        """Know the lists that go down level by level."""
        known = (["studies"], ["studies", "series"], ["studies", "series", "instances"])
        lists = request.method == "GET" and len(path) % 2 and path[-1] != "metadata"
        return refused(404) if lists and list(path[0::2]) not in known else super().answer(request, path)

    def satisfies(self, level: str, row: Row, name: str, wanted: Sequence[str]) -> bool:
        """Compare the whole value; dates may be ranges."""
        if name.endswith("Date"):
            return any(between(wanted[0], value) for value in shown(row, name))
        return wanted[0] in shown(row, name)

    def rows(self, level: str, values: Sequence[str] = ()) -> list[Row]:
        """Order studies by the last change, others by number."""
        found = super().rows(level, values)
        if level == "studies":
            return found[::-1]
        keyword = "SeriesNumber" if level == "series" else "InstanceNumber"
        return sorted(found, key=lambda row: int(text(row, keyword) or 0))

    def page(self, level: str, found: list[Row], query: Parameters) -> list[Row]:
        """Start at the beginning always."""
        return found[: min(MOST, int(dict(query).get("limit", MOST)))]

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Return one instance."""
        if place.level != "instance":
            return refused(404)
        found = self.below(place)
        if not found:
            return refused(404)
        if not accept.startswith(("application/dicom", "*/*")):
            return refused(406)
        return self.single(self.sent_as(found[0], accept))

    def metadata(self, place: Resource, accept: str) -> Answer:
        """Describe series and instances."""
        return refused(404) if place.level == "study" else super().metadata(place, accept)
