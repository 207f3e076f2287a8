"""A DICOMweb server in memory, by the standard; the servers beside this file say how real ones differ."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from dicomdock.dicom.dictionary import keyword_of, tag_of
from dicomdock.dicom.json_model import text
from dicomdock.dicom.resource import Resource
from dicomdock.web.multipart.reader import read_parts
from tests.builders import Made, composite, encode
from tests.dicomweb.awkward import attributes_of, made_of, refused
from tests.servers.canned import Answer, Request
from tests.servers.matching import PARAMETERS, by_standard, grouped

Row = dict[str, Any]
Parameters = list[tuple[str, str]]

JSON: Final = "application/dicom+json"
BOUNDARY: Final = "b0undary-of-parts"
UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
COUNTS: Final = (
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "NumberOfSeriesRelatedInstances",
)
DEFAULTS: Final[Mapping[str, frozenset[str]]] = {
    "studies": frozenset(
        {
            *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ModalitiesInStudy"),
            *("StudyInstanceUID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
        }
    ),
    "series": frozenset(
        {
            *("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription"),
            "NumberOfSeriesRelatedInstances",
        }
    ),
    "instances": frozenset(
        {
            *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
            *("Rows", "Columns", "NumberOfFrames"),
        }
    ),
}


@dataclass
class Held:
    """An instance that a server holds: its attributes and the bytes of its file."""

    attributes: Row
    data: bytes = field(repr=False)

    @cached_property
    def uids(self) -> tuple[str, ...]:
        """Of its study, its series and itself."""
        return tuple(text(self.attributes, keyword) for keyword in UIDS)

    @property
    def place(self) -> Resource:
        """Where it stands."""
        return Resource(*self.uids)


def crowd(count: int) -> list[Held]:
    """Make studies that are only searched: one instance each, of patients ``C0000``..., all in 2019."""
    found = []
    for index in range(count):
        values = {
            "StudyInstanceUID": f"1.2.826.0.1.3680043.10.99.{index + 1}",
            "SeriesInstanceUID": f"1.2.826.0.1.3680043.10.99.{index + 1}.1",
            "SOPInstanceUID": f"1.2.826.0.1.3680043.10.99.{index + 1}.1.1",
            "PatientID": f"C{index:04}",
            "StudyDate": f"2019{1 + index % 12:02}{1 + index % 28:02}",
            "StudyTime": "120000",
            "AccessionNumber": f"B{index}",
            "Modality": "MR",
            "StudyID": "1",
            "PatientBirthDate": "19500101",
            "PatientSex": "M",
            "StudyDescription": "One of many",
        }
        row: Row = {tag_of(keyword): {"vr": "LO", "Value": [value]} for keyword, value in values.items()}
        row[tag_of("PatientName")] = {"vr": "PN", "Value": [{"Alphabetic": f"Crowd^Nr{index:04}"}]}
        row[tag_of("ReferringPhysicianName")] = {"vr": "PN", "Value": [{"Alphabetic": "Ruiz^Ana"}]}
        found.append(Held(row, b""))
    return found


@dataclass
class Imitation:
    """A server by the standard, as far as a client of studies sees it.

    Parameters
    ----------
    held : what is in it, in the order of its lists.
    asked : every request so far.

    The class variables are the path of the base address and the label of JSON.
    """

    base: ClassVar[str] = "/dicom-web"
    label: ClassVar[str] = JSON

    held: list[Held] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, instances: Iterable[Made]) -> None:
        """Put instances into it, without any request."""
        self.hold([Held(attributes_of(one), one.data) for one in instances])

    def hold(self, further: Sequence[Held]) -> None:
        """Put in what is described already."""
        self.held += further

    def __call__(self, request: Request) -> Answer:
        with self.lock:
            self.asked.append(request)
            url = urlsplit(request.path)
            path = url.path
            if (path + "/").startswith(self.base + "/"):
                path = path[len(self.base) :]
            elif (answer := self.outside(request)) is not None:
                return answer
            else:
                return refused(404)
            if (turned_away := self.guard(request, path)) is not None:
                return turned_away
            return self.answer(request, [unquote(piece) for piece in path.strip("/").split("/") if piece])

    def answer(self, request: Request, path: Sequence[str]) -> Answer:
        """Do what is asked for below the base."""
        query = self.parameters(urlsplit(request.path).query)
        names, values = path[0::2], path[1::2]
        if request.method == "POST" and names == ["studies"]:
            return self.store(request, values[0] if values else "")
        if request.method == "DELETE":
            return self.delete(Resource(*values))
        if request.method != "GET" or not path:
            return refused(404)
        accept = request.headers.get("Accept", "")
        if len(path) % 2:
            if path[-1] == "metadata":
                return self.metadata(Resource(*values), accept)
            if path[-1] in ("rendered", "thumbnail"):
                return self.picture(Resource(*values), path[-1])
            if path[-1] in DEFAULTS:
                return self.search(path[-1], values, query)
            return refused(404)
        return self.retrieve(Resource(*values), accept)

    def guard(self, request: Request, path: str) -> Answer | None:
        """Turn a request away: no login, too many."""
        return None

    def outside(self, request: Request) -> Answer | None:
        """Answer what lies beside the base, such as WADO-URI."""
        return None

    def parameters(self, query: str) -> Parameters:
        """Read the query."""
        return parse_qsl(query, keep_blank_values=True)

    # Search

    def search(self, level: str, values: Sequence[str], query: Parameters) -> Answer:
        """Answer a search below the study and series of ``values``."""
        refusal = self.refuses(level, query)
        if refusal is not None:
            return refusal
        found = self.matching(level, values, query)
        page = self.page(level, found, query)
        return self.listed([self.row(level, row, query) for row in page], found, query)

    def refuses(self, level: str, query: Parameters) -> Answer | None:
        """Refuse a query that this server has no answer for."""
        return None

    def matching(self, level: str, values: Sequence[str], query: Parameters) -> list[Row]:
        """Return the matches of a search, in the order of the list."""
        keys = {
            name: wanted
            for name, wanted in grouped(query).items()
            if any(wanted) and self.applies(level, name)
        }
        return [
            row
            for row in self.rows(level, values)
            if all(self.satisfies(level, row, name, wanted) for name, wanted in keys.items())
        ]

    def satisfies(self, level: str, row: Row, name: str, wanted: Sequence[str]) -> bool:
        """Return whether a row satisfies a key, all values of which are given."""
        return by_standard(row, name, wanted)

    def applies(self, level: str, name: str) -> bool:
        """Return whether a key of a query is applied; what is not is passed over."""
        return name not in PARAMETERS

    def page(self, level: str, found: list[Row], query: Parameters) -> list[Row]:
        """Cut out what limit and offset ask for."""
        names = dict(query)
        start = int(names.get("offset", 0))
        return found[start : start + int(names.get("limit", len(found)))]

    def row(self, level: str, row: Row, query: Parameters) -> Row:
        """Return the attributes that an answer shows."""
        fields = {one for name, value in query if name == "includefield" for one in value.split(",")}
        if "all" in fields:
            return row
        names = DEFAULTS[level] | self.known_fields(fields) | {name for name, _ in query}
        return {tag: item for tag, item in row.items() if keyword_of(tag) in names or tag in names}

    def known_fields(self, fields: set[str]) -> set[str]:
        """Return the fields that are added when asked for."""
        return fields

    def listed(self, page: list[Row], found: list[Row], query: Parameters) -> Answer:
        """Make the answer of a search."""
        return self.json(page) if page else self.nothing()

    def nothing(self) -> Answer:
        """Answer a search without matches."""
        return self.json([])

    def json(self, content: object, status: int = 200, **headers: str) -> Answer:
        """Answer with JSON, labelled as this server does."""
        return Answer(status, json.dumps(content).encode(), {"Content-Type": self.label, **headers})

    def rows(self, level: str, values: Sequence[str] = ()) -> list[Row]:
        """Return what is held, as rows of a level; counts and modalities are counted."""
        depth = list(DEFAULTS).index(level) + 1
        groups: dict[tuple[str, ...], list[Held]] = {}
        for one in self.held:
            if list(one.uids[: len(values)]) == list(values):
                groups.setdefault(one.uids[:depth], []).append(one)
        return [self.whole(level, group) for group in groups.values()]

    def whole(self, level: str, group: Sequence[Held]) -> Row:
        """Return everything that is known of a study, series or instance."""
        row = {tag: item for tag, item in group[0].attributes.items() if tag != "7FE00010"}
        if level == "instances":
            return row
        series = {text(one.attributes, "SeriesInstanceUID") for one in group}
        if level == "studies":
            modalities = sorted({text(one.attributes, "Modality") for one in group})
            row[tag_of("ModalitiesInStudy")] = {"vr": "CS", "Value": modalities}
            row[tag_of("NumberOfStudyRelatedSeries")] = {"vr": "IS", "Value": [len(series)]}
            row[tag_of("NumberOfStudyRelatedInstances")] = {"vr": "IS", "Value": [len(group)]}
        else:
            row[tag_of("NumberOfSeriesRelatedInstances")] = {"vr": "IS", "Value": [len(group)]}
        return row

    # Retrieve

    def below(self, place: Resource) -> list[Held]:
        """Return what is held of a resource."""
        wanted = tuple(filter(None, (place.study, place.series, place.instance)))
        return [one for one in self.held if one.uids[: len(wanted)] == wanted]

    def retrieve(self, place: Resource, accept: str) -> Answer:
        """Answer with instances."""
        found = self.below(place)
        if not found:
            return refused(404)
        return self.parts([self.sent_as(one, accept) for one in found])

    def sent_as(self, one: Held, accept: str) -> bytes:
        """Return an instance's bytes: as stored, or written anew where nobody asked for them as stored."""
        return one.data if "transfer-syntax=*" in accept.replace('"', "") else rewritten(one.data)

    def parts(self, bodies: Iterable[bytes], *, status: int = 200, label: str = "", **headers: str) -> Answer:
        """Answer with parts; ``label`` is the Content-Type where it is not the standard's."""
        usual = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        marker = f"--{BOUNDARY}".encode()
        body = b"".join(
            marker + b"\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in bodies
        )
        return Answer(status, body + marker + b"--\r\n", {"Content-Type": label or usual, **headers})

    def single(self, data: bytes) -> Answer:
        """Answer with one instance as the whole body."""
        return Answer(200, data, {"Content-Type": "application/dicom"})

    def metadata(self, place: Resource, accept: str) -> Answer:
        """Answer with attributes."""
        found = self.below(place)
        return self.json([self.described(one) for one in found]) if found else refused(404)

    def described(self, one: Held) -> Row:
        """Return the metadata of an instance."""
        uri = f"{self.base}{one.place.path}/bulkdata/7FE00010"
        return {
            tag: {"vr": "OW", "BulkDataURI": uri} if tag == "7FE00010" else item
            for tag, item in one.attributes.items()
        }

    def picture(self, place: Resource, kind: str) -> Answer:
        """Answer with a picture."""
        return refused(404)

    # Store and delete

    def sent(self, request: Request) -> list[bytes]:
        """Read what an upload holds."""
        label = request.headers.get("Content-Type", "")
        return [b"".join(part.chunks()) for part in read_parts([request.body], label)]

    def store(self, request: Request, study: str) -> Answer:
        """Store what can be read; say which was and which was not."""
        stored: list[Row] = []
        failed: list[Row] = []
        for data in self.sent(request):
            held = readable(data)
            if held is None:
                failed.append(failure("", 0xC000))
            elif study and held.place.study != study:
                failed.append(failure(held.place.instance or "", 0x0110))
            else:
                code = self.keep(held)
                uid = held.place.instance or ""
                failed.append(failure(uid, code)) if code else stored.append(reference(uid))
        return self.told(request, stored, failed)

    def keep(self, one: Held) -> int:
        """Keep an instance; gives a Failure Reason where it is refused. A second copy is passed over."""
        if all(other.place != one.place for other in self.held):
            self.held.append(one)
        return 0

    def told(self, request: Request, stored: list[Row], failed: list[Row]) -> Answer:
        """Make the answer of an upload."""
        status = 200 if not failed else 202 if stored else 409
        return Answer(status, json.dumps(store_response(stored, failed)).encode(), {"Content-Type": JSON})

    def delete(self, place: Resource) -> Answer:
        """Delete a resource."""
        return refused(405)

    def forget(self, place: Resource) -> bool:
        """Take a resource out; False where there was none."""
        gone = {one.uids for one in self.below(place)}
        self.held = [one for one in self.held if one.uids not in gone]
        return bool(gone)


def readable(data: bytes) -> Held | None:
    """Read an instance that was sent; None where it is none."""
    try:
        one = made_of(data)
        return Held(attributes_of(one), data) if one.resource.instance else None
    except Exception:  # pydicom raises many kinds for what is not DICOM
        return None


def rewritten(data: bytes) -> bytes:
    """Write an instance anew, as a server that transcodes does: the same data set in other bytes."""
    dataset = made_of(data).dataset
    dataset.file_meta.ImplementationVersionName = "REWRITTEN"
    return encode(dataset)


def reference(uid: str) -> Row:
    """Make an item of the Referenced SOP Sequence."""
    return {"00081155": {"vr": "UI", "Value": [uid]}}


def failure(uid: str, code: int) -> Row:
    """Make an item of the Failed SOP Sequence."""
    item: Row = {"00081197": {"vr": "US", "Value": [code]}}
    return {**reference(uid), **item} if uid else item


def store_response(stored: list[Row], failed: list[Row], others: Sequence[Row] = ()) -> Row:
    """Make the body of an answer to an upload; empty sequences are left out."""
    sequences = {"00081199": stored, "00081198": failed, "0008119A": list(others)}
    return {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def small(**attributes: object) -> Made:
    """Make one small instance with some pixels, as a study of its own unless UIDs are given."""
    dataset = composite("1.2.840.10008.5.1.4.1.1.7", **attributes)
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(range(16))
    return Made(dataset, encode(dataset))
