"""dcm4chee-arc 5 (arc-light), as its source and configuration files describe it.

Sources
-------
dcm4che/dcm4chee-arc-light @ 00bcb7ba, QueryAttributes.java (a query is split at commas before it is
decoded; keys that come several times are a list; unknown attributes are an error); @ 674a864, QidoRS.java,
WadoRS.java, StowRS.java, PamRS.java and the shipped default-config.ldif.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote_plus

from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import (
    JSON,
    Imitation,
    Parameters,
    Row,
    failure,
    store_response,
)
from tests.servers.matching import PARAMETERS, tag_of

_LIMIT = re.compile(r"[1-9]\d{0,4}\Z")
# What QueryBuilder.java sorts studies by; the rest of orderby changes nothing.
_SORTED = frozenset(
    ("PatientName", "PatientSex", "PatientBirthDate", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime")
) | {"ReferringPhysicianName", "StudyDescription", "AccessionNumber"}
_OFFSET = re.compile(r"(0|[1-9]\d{0,4})\Z")


@dataclass
class Dcm4chee(Imitation):
    """It imitates: numbers that must fit a pattern; 204 for nothing; 1,000 matches at most, with ``Warning:
    299`` that tells how many are left; 413 for a search that is too broad where the site sets that; 400 for
    an attribute it does not know; no StudyDescription unless asked for; ``orderby`` of some attributes;
    instances in parts only; 206 when some are off line; uploads that must say which answer they accept;
    failures of unreadable parts under made-up UIDs; duplicates that look like successes; studies deleted,
    series rejected; Keycloak's Bearer.

    Parameters
    ----------
    most : matches in one answer.
    too_broad : matches at most that a search may have; 0 for any number.
    offline : SOP Instance UIDs that cannot be given now.
    token : the Bearer token that is wanted; empty for none.
    """

    base: ClassVar[str] = "/dcm4chee-arc/aets/DCM4CHEE/rs"

    most: int = 1000
    too_broad: int = 0
    offline: frozenset[str] = frozenset()
    token: str = ""

    def guard(self, request: Request, path: str) -> Answer | None:
        """Want Keycloak's token."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(401, b"", {"WWW-Authenticate": 'Bearer realm="dcm4che"'})
        return None

    def answer(self, request: Request, path: Sequence[str]) -> Answer:
        """Reject series and instances by POST."""
        if request.method == "POST" and len(path) > 3 and path[-2] == "reject":
            return refused(204 if self.forget(Resource(*path[1:-2:2])) else 404)
        return super().answer(request, path)

    def refuses(self, level: str, query: Parameters) -> Answer | None:
        """Refuse numbers and attributes."""
        names = dict(query)
        patterns = {"limit": _LIMIT, "offset": _OFFSET, "fuzzymatching": re.compile(r"(true|false)\Z")}
        if any(not pattern.match(names[name]) for name, pattern in patterns.items() if name in names):
            return refused(400)
        for name, _ in query:
            if name not in PARAMETERS and not all(map(tag_of, name.split("."))):
                return self.json({"errorMessage": name}, 400)
        return None

    def parameters(self, query: str) -> Parameters:
        """Split at commas what is not decoded yet."""
        pairs = [piece.partition("=") for piece in query.split("&") if piece]
        return [
            (unquote_plus(name), unquote_plus(value))
            for name, _, values in pairs
            for value in (values.split(",") if name not in ("orderby", "includefield") else [values])
        ]

    def satisfies(self, level: str, row: Row, name: str, wanted: Sequence[str]) -> bool:
        """Know sequences by their items."""
        if "." not in name:
            return super().satisfies(level, row, name, wanted)
        sequence, _, inner = name.partition(".")
        items = row.get(tag_of(sequence), {}).get("Value", [])
        return any(self.satisfies(level, item, inner, wanted) for item in items)

    def matching(self, level: str, values: Sequence[str], query: Parameters) -> list[Row]:
        """Order by what is asked for, where it sorts by that."""
        found = super().matching(level, values, query)
        for key in reversed(dict(query).get("orderby", "").split(",")):
            if key.lstrip("-") in _SORTED:
                found.sort(key=lambda row: text(row, key.lstrip("-")), reverse=key.startswith("-"))
        return found

    def page(self, level: str, found: list[Row], query: Parameters) -> list[Row]:
        """Return 1,000 at most."""
        return super().page(level, found, query)[: self.most]

    def listed(self, page: list[Row], found: list[Row], query: Parameters) -> Answer:
        """State what was cut off."""
        if self.too_broad and len(found) > self.too_broad:
            return self.json({"errorMessage": "Request entity too large. Query more specific."}, 413)
        if not page:
            return refused(204)
        names = dict(query)
        left = len(found) - int(names.get("offset", 0)) - len(page)
        if left > 0 and int(names.get("limit", 1 << 30)) > self.most:
            words = f'299 arc "There are {left} additional results that can be requested"'
            return self.json(page, Warning=words)
        return self.json(page)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Return parts, and what is there."""
        found = self.below(place)
        if not found:
            return refused(404)
        if not accept.startswith(("multipart/related", "*/*")):
            return refused(406)
        bodies = [self.sent_as(one, accept) for one in found if one.place.instance not in self.offline]
        if not bodies:
            return refused(410)
        if len(bodies) < len(found):
            return self.parts(bodies, status=206, Warning='299 arc "Partial content"')
        return self.parts(bodies)

    def store(self, request: Request, study: str) -> Answer:
        """Want to know which answer is accepted."""
        if JSON not in request.headers.get("Accept", "") and "+xml" not in request.headers.get("Accept", ""):
            return refused(406)
        return super().store(request, study)

    def told(self, request: Request, stored: list[Row], failed: list[Row]) -> Answer:
        """Name what cannot be read by a new UID."""
        named = [
            row if "00081155" in row else failure(f"2.25.{index + 1}", 0xC000)
            for index, row in enumerate(failed)
        ]
        status = 200 if not failed else 202 if stored else 409
        return self.json(store_response(stored, named), status)

    def delete(self, place: Resource) -> Answer:
        """Delete studies only."""
        if place.level != "study":
            return refused(405)
        return refused(204 if self.forget(place) else 404)
