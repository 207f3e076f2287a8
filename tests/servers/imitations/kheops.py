"""Kheops, the sharing layer before a dcm4chee, as its source and documentation describe it.

Sources
-------
OsiriX-Foundation/kheops @ 0f4fc7f: StudyQIDOParams.java (one value a key, by keyword or tag), Studies.java
(``createCondition``: SQL LIKE without case, ``*`` alone as a wildcard; ``createIntervalCondition``;
modalities compared whole), QIDOResource.java (series from the dcm4chee behind, whose 204 becomes a 502;
X-Total-Count; the Warning), ReverseProxy/locations.conf (one frame number an address). That a search for
the instances of a study gives no more than limit and one of each series was seen on a running Kheops.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from tests.dicomweb.awkward import refused
from tests.servers.canned import Answer, Request
from tests.servers.imitations.base import (
    Held,
    Imitation,
    Parameters,
    Row,
    failure,
    readable,
    reference,
    store_response,
)
from tests.servers.matching import shown, tag_of

KEYS = frozenset(
    {
        *("StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName"),
        *("PatientName", "PatientID", "StudyInstanceUID", "StudyID", "StudyDescription"),
    }
)
_TAGS = frozenset(map(tag_of, KEYS))
_TIME = re.compile(r"\d{6}\.\d{6}(-\d{6}\.\d{6})?\Z")
_ONE_TYPE = re.compile(r'multipart/related;\s*type="?application/dicom"?(;\s*transfer-syntax=[*.\d]+)?\Z')


@dataclass
class Kheops(Imitation):
    """It imitates: a token as Bearer, as the password of any user, or in the address; 403 and 404 where the
    token's rights end; lists below a study only; 204 for nothing; the number of all matches in
    ``X-Total-Count``; a Warning with a template left in it; ``?`` taken literally; times that must be whole;
    an Accept that must be one media type, bulk data for ``*/*``; no rendered pictures; 409 with reasons for
    uploads; deletion of studies and series.

    Parameters
    ----------
    token : what is wanted; empty for none.
    may_write : the token lets its bearer upload and delete.
    strict : also a transfer syntax in the Accept header is too much.
    """

    base: ClassVar[str] = "/api"

    token: str = ""
    may_write: bool = True
    strict: bool = False

    def guard(self, request: Request, path: str) -> Answer | None:
        """Look for the token in all its places."""
        if not self.token:
            return None
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        if value != self.token:
            return Answer(401, b"", {"WWW-Authenticate": 'Basic realm="kheops", Bearer realm="kheops"'})
        if request.method == "POST" and not self.may_write:
            return refused(403)
        return refused(404) if request.method == "DELETE" and not self.may_write else None

    def answer(self, request: Request, path: Sequence[str]) -> Answer:
        """Know no list of all series or instances."""
        return refused(404) if path and path[0] in ("series", "instances") else super().answer(request, path)

    def refuses(self, level: str, query: Parameters) -> Answer | None:
        """Refuse times that are not whole."""
        times = (value for name, value in query if name in ("StudyTime", "00080030"))
        return refused(400) if any(not _TIME.match(value) for value in times if value) else None

    def applies(self, level: str, name: str) -> bool:
        """Know the keys of its own tables at the level of studies; pass others on below."""
        return level != "studies" or tag_of(name) in _TAGS

    def satisfies(self, level: str, row: Row, name: str, wanted: Sequence[str]) -> bool:
        """Compare by SQL at the level of studies; below them the dcm4chee behind does."""
        value, present, tag = wanted[0], shown(row, name), tag_of(name)
        if level != "studies":
            return super().satisfies(level, row, name, wanted)
        if tag in ("00080020", "00080030"):
            low, dash, high = value.partition("-")
            return any(
                (one >= low and (not high or one <= high)) if dash else one == value for one in present
            )
        if tag == "0020000D":
            return present == [value]
        if tag == "00080061":
            return value.lower() in [one.lower() for one in present]
        pattern = ".*".join(map(re.escape, value.lower().split("*")))
        return any(re.fullmatch(pattern, one.lower()) for one in present)

    def search(self, level: str, values: Sequence[str], query: Parameters) -> Answer:
        """Fail where the dcm4chee behind finds nothing; give too little of a whole study."""
        if level == "instances" and len(values) == 1 and (limit := dict(query).get("limit")):
            series = {one.uids[1]: [] for one in self.held if one.place.study == values[0]}
            for one in self.held:
                if one.uids[1] in series and len(series[one.uids[1]]) <= int(limit):
                    series[one.uids[1]].append(one)
            whole, self.held = self.held, [one for some in series.values() for one in some]
            try:
                return super().search(level, values, query)
            finally:
                self.held = whole
        if level == "series" and self.rows(level, values) and not self.matching(level, values, query):
            return self.json({"message": "PACS error"}, 502)
        return super().search(level, values, query)

    def listed(self, page: list[Row], found: list[Row], query: Parameters) -> Answer:
        """Count all matches."""
        if not page:
            return refused(204)
        headers = {"X-Total-Count": str(len(found))}
        left = len(found) - int(dict(query).get("offset", 0)) - len(page)
        if left > 0:
            headers["Warning"] = f"299 {{+service}}: Warning: 299 kheops: there are {left} more results"
        return self.json(page, **headers)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Read the Accept header as one media type."""
        found = self.below(place)
        if not found:
            return refused(404)
        if accept == "*/*":
            label = 'multipart/related; type="application/octet-stream"; boundary=b0undary-of-parts'
            return self.parts([b"\x00\x01" * 20], label=label)
        if not _ONE_TYPE.match(accept) or (self.strict and "transfer-syntax" in accept):
            return refused(406)
        return self.parts([self.sent_as(one, accept) for one in found])

    def store(self, request: Request, study: str) -> Answer:
        """Compare with what is known of the study."""
        stored: list[Row] = []
        failed: list[Row] = []
        others: list[Row] = []
        for data in self.sent(request):
            one = readable(data)
            if one is None:
                others.append({"00081197": {"vr": "US", "Value": [0x0110]}})
                continue
            uid = one.place.instance or ""
            code = self.keep(one)
            failed.append(failure(uid, code)) if code else stored.append(reference(uid))
        status = 200 if not failed and not others else 202 if stored else 409
        return self.json(store_response(stored, failed, others), status)

    def keep(self, one: Held) -> int:
        """Refuse what contradicts the study."""
        same = next((other for other in self.held if other.place.study == one.place.study), one)
        if text(same.attributes, "PatientID") != text(one.attributes, "PatientID"):
            return 0x0106
        return super().keep(one)

    def delete(self, place: Resource) -> Answer:
        """Take studies and series out of the inbox."""
        if place.level == "instance":
            return refused(405)
        return refused(204 if self.forget(place) else 404)
