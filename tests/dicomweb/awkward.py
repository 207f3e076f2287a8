"""A small DICOMweb server with the habits that a test gives it, as no real server can be made to have."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qsl, unquote, urlsplit

import pydicom
from pydicom.uid import SecondaryCaptureImageStorage

from dicomdock.dicom.dictionary import keyword_of
from dicomdock.dicom.resource import Resource
from dicomdock.web.multipart.reader import read_parts
from tests.builders import Made, composite, made
from tests.servers.canned import Answer, Request
from tests.servers.matching import by_standard, grouped

JSON = "application/dicom+json"
EVERY_LIST = (
    "studies",
    "series",
    "instances",
    "studies/series",
    "studies/instances",
    "studies/series/instances",
)
_KEYWORDS = {
    "studies": ("StudyInstanceUID", "StudyDate", "StudyTime", "PatientName", "PatientID", "AccessionNumber"),
    "series": ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber"),
    "instances": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "InstanceNumber"),
}
UIDS = frozenset({"StudyInstanceUID", "SeriesInstanceUID"})
_UIDS = {"studies": 1, "series": 2, "instances": 3}


def encoded(parts: Iterable[bytes], *, end: bool = True) -> bytes:
    """Write a multipart body with the boundary ``xx``."""
    body = b"".join(b"--xx\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts)
    return body + (b"--xx--\r\n" if end else b"")


def multipart(parts: Iterable[bytes], **headers: str) -> Answer:
    """Answer with instances."""
    label = 'multipart/related; type="application/dicom"; boundary=xx'
    return Answer(200, encoded(parts), {"Content-Type": label, **headers})


def rows(data_sets: Sequence[object], *, label: str = JSON, status: int = 200, **headers: str) -> Answer:
    """Answer a search."""
    return Answer(status, json.dumps(data_sets).encode(), {"Content-Type": label, **headers})


def refused(status: int) -> Answer:
    """Answer with a bare status."""
    return Answer(status, b"", {})


@dataclass
class Awkward:
    """A server over some instances; every field but the first is a habit.

    Parameters
    ----------
    honours : matching keys that are applied; None for all.
    limit, offset : are they honoured.
    cap : rows of an answer at most, whatever is asked for.
    longer : rows that a page gives beyond what was asked for.
    warning, total : headers of a search.
    refuses : field names and keys that get a 400.
    wildcard : a pattern is understood, else it is a 400.
    nothing : the answer to a search without matches.
    lists : which searches exist; others are 404.
    levels : what can be retrieved; others are 404.
    takes : which Accept headers of a retrieval are not refused.
    refusal : the status for the others.
    single : an instance is the whole body.
    leaves_out : instances that a series or study answer does not hold.
    shows : further attributes that every list shows.
    status : of a retrieval.
    stores : gives the answer to what was sent; the instances sent are noted whatever it says.
    """

    instances: list[Made] = field(default_factory=list)
    honours: frozenset[str] | None = None
    limit: bool = True
    offset: bool = True
    cap: int = 1 << 30
    longer: int = 0
    label: str = JSON
    warning: str = ""
    total: bool = False
    refuses: frozenset[str] = frozenset()
    wildcard: bool = True
    nothing: Answer = field(default_factory=lambda: rows([]))
    lists: Sequence[str] = EVERY_LIST
    levels: Sequence[str] = ("study", "series", "instance")
    takes: Callable[[str], bool] = lambda _: True
    refusal: int = 406
    single: bool = False
    leaves_out: frozenset[str] = frozenset()
    shows: frozenset[str] = frozenset()
    status: int = 200
    stores: Callable[[list[Made]], Answer] | None = None
    asked: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Answer:
        with self.lock:
            self.asked.append(request)
            url = urlsplit(request.path)
            path = [unquote(piece) for piece in url.path.strip("/").split("/")]
            query = parse_qsl(url.query, keep_blank_values=True)
            if request.method == "POST":
                return self.store(request)
            if "/".join(path[0::2]) in self.lists and len(path) % 2:
                return self.search(path, query)
            if request.method == "GET" and len(path) in (2, 4, 6):
                return self.retrieve(Resource(*path[1::2]), request.headers.get("Accept", ""))
            return refused(404)

    def search(self, path: list[str], query: list[tuple[str, str]]) -> Answer:
        names = dict(query)
        fields = {value for name, value in query if name == "includefield"}
        if self.refuses & (fields | set(names)) or (not self.wildcard and "*" in "".join(names.values())):
            return refused(400)
        level = path[-1]
        held = [one for one in self.instances if [one.study, one.series][: len(path) // 2] == path[1::2]]
        keys = {
            name: values
            for name, values in grouped(query).items()
            if any(values) and (self.honours is None or name in self.honours | UIDS)
        }
        found: dict[tuple, dict] = {}
        for one in held:
            attributes = attributes_of(one)
            if all(self.satisfies(attributes, name, values) for name, values in keys.items()):
                uids = (one.study, one.series, one.instance)[: _UIDS[level]]
                wanted = {*_KEYWORDS[level], *fields, *names, *self.shows}
                row = {tag: value for tag, value in attributes.items() if keyword_of(tag) in wanted}
                found.setdefault(uids, row)
        everything = list(found.values())
        limit = int(names["limit"]) if "limit" in names and self.limit else len(everything)
        start = int(names.get("offset", 0)) if self.offset else 0
        longer = self.longer if "limit" in names and self.limit else 0
        page = everything[start : start + min(self.cap, limit + longer)]
        headers = {"X-Total-Count": str(len(everything))} if self.total else {}
        if self.warning and len(page) < len(everything) - start:
            headers["Warning"] = self.warning
        return rows(page, label=self.label, **headers) if page else self.nothing

    def satisfies(self, attributes: dict, name: str, values: Sequence[str]) -> bool:
        """Return whether an instance satisfies a key."""
        return by_standard(attributes, name, values)

    def retrieve(self, place: Resource, accept: str) -> Answer:
        if place.level not in self.levels:
            return refused(404)
        if not self.takes(accept):
            return refused(self.refusal)
        found = [one for one in self.instances if place.contains(one.resource)]
        if not found:
            return refused(404)
        if place.level == "instance" and self.single:
            return Answer(200, found[0].data, {"Content-Type": "application/dicom"})
        if place.level != "instance":
            found = [one for one in found if one.instance not in self.leaves_out]
        answer = multipart(one.data for one in found)
        return Answer(self.status, answer.body, answer.headers)

    def store(self, request: Request) -> Answer:
        if self.stores is None:
            return refused(405)
        parts = read_parts([request.body], request.headers["Content-Type"])
        return self.stores([made_of(b"".join(part.chunks())) for part in parts])

    def keep(self, sent: list[Made]) -> None:
        """Add what is not there yet."""
        known = {one.instance for one in self.instances}
        self.instances += [one for one in sent if one.instance not in known]

    @property
    def searches(self) -> list[str]:
        """The queries of the searches so far."""
        return [request.path for request in self.asked if request.method == "GET" and "?" in request.path]


@cache
def _attributes(data: bytes) -> str:
    dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    return json.dumps(dataset.to_json_dict(bulk_data_element_handler=lambda _: "bulk"))


def attributes_of(instance: Made) -> dict:
    """Return the DICOM JSON of an instance."""
    return json.loads(_attributes(instance.data))


def made_of(data: bytes) -> Made:
    """Read an instance back from its bytes."""
    return Made(pydicom.dcmread(io.BytesIO(data)), data)


def studies(count: int, **attributes: object) -> list[Made]:
    """Make studies of one small instance each, on days one after the other."""
    return [
        made(
            composite(
                SecondaryCaptureImageStorage,
                PatientID=f"P{index:03}",
                PatientName=f"Name{index:03}^Jane",
                StudyDate=f"2024{1 + index // 28:02}{1 + index % 28:02}",
                **attributes,
            )
        )
        for index in range(count)
    ]


@dataclass
class Waiting(Awkward):
    """A server that gives nothing before it is told to."""

    asked_for: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request) -> Answer:
        if request.method == "GET" and "?" not in request.path and not request.path.endswith("metadata"):
            self.asked_for.set()
            self.gate.wait(60)
        return super().__call__(request)
