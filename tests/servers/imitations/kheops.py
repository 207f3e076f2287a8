"""Kheops, the sharing layer before a dcm4chee, as its source and documentation describe it."""

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
    PARAMETERS,
    Held,
    Imitation,
    Parameters,
    Row,
    failure,
    readable,
    reference,
    store_response,
)

KEYS = frozenset(
    {
        *("StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName"),
        *("PatientName", "PatientID", "StudyInstanceUID", "StudyID", "StudyDescription"),
    }
)
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
        return name not in PARAMETERS and (level != "studies" or name in KEYS)

    def matching(self, level: str, values: Sequence[str], query: Parameters) -> list[Row]:
        """Take ``?`` as it is written."""
        if any("?" in value for name, value in query if self.applies(level, name)):
            return []
        return super().matching(level, values, query)

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
