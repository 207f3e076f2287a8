"""The attributes of an instance as lines to read and to search in, from the archive or a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.names import person_name
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting
from dicomdock.dock.services.sources import LOCAL, Sources
from dicomdock.errors import NotFound
from dicomdock.sources import JsonValue

if TYPE_CHECKING:
    from dicomdock.archive import Archive

LONGEST = 4000  # characters of a value that are shown
MOST_DEPTH = 64  # sequences in sequences; deeper only where somebody means harm


@dataclass(frozen=True)
class Line:
    """One attribute.

    Parameters
    ----------
    path : its tag, below the tags and item numbers of the sequences around it.
    depth : how many sequences are around it.
    tag : as ``(0010,0010)``; empty for the head of an item.
    keyword : of the data dictionary; empty where it is unknown.
    name : of the data dictionary; what stands for it where it is unknown.
    vr : of it.
    value : formatted.
    """

    path: str
    depth: int
    tag: str
    keyword: str
    name: str
    vr: str
    value: str


def instances(sources: Sources, source: str, series: Resource) -> list[Resource]:
    """List the instances of a series in the order of their numbers.

    Raises
    ------
    DicomdockError
        The source does not answer.
    """
    if source == LOCAL:
        archive = cast("Archive", sources.get(LOCAL))
        return [one.resource for one in archive.instances(series)]
    query = Query("instances", {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.series or ""})
    found = [
        (text(match.attributes, "InstanceNumber"), text(match.attributes, "SOPInstanceUID"))
        for page in sources.get(source).search(query)
        for match in page.matches
    ]
    found.sort(key=lambda pair: (int(pair[0]) if pair[0].isdecimal() else 1 << 62, pair[1]))
    return [Resource(series.study, series.series, uid) for _, uid in found if uid]


def read(sources: Sources, source: str, instance: Resource) -> list[Line]:
    """Read the attributes of one instance.

    Raises
    ------
    DicomdockError
        The source does not answer, or has no such instance.
    """
    for attributes in sources.get(source).metadata(instance):
        return list(lines(attributes))
    raise NotFound(f"{source} has no instance {instance.instance}.")


def lines(attributes: DicomJson, path: str = "", depth: int = 0) -> Iterator[Line]:
    """Write attributes in the order of their tags, each sequence followed by its items.

    References
    ----------
    PS3.18 §F.2 (DICOM JSON model).
    """
    for tag in sorted(attributes):
        element = attributes[tag]
        if not isinstance(element, Mapping):
            continue
        keyword, name = _named(tag)
        vr = str(element.get("vr") or "")
        found = element.get("Value")
        values: Sequence[JsonValue] = (
            found if isinstance(found, Sequence) and not isinstance(found, str) else []
        )
        here = f"{path}/{tag}"
        value = formatting.counted(len(values), "item") if vr == "SQ" else _written(element, vr, values)
        yield Line(here, depth, f"({tag[:4]},{tag[4:]})", keyword, name, vr, value)
        if vr == "SQ" and depth < MOST_DEPTH:
            for number, item in enumerate(values, 1):
                if isinstance(item, Mapping):
                    yield Line(f"{here}/{number}", depth + 1, "", "", f"Item {number}", "", "")
                    yield from lines(item, f"{here}/{number}", depth + 1)


def _named(tag: str) -> tuple[str, str]:
    from pydicom.datadict import dictionary_description, keyword_for_tag

    try:
        number = int(tag, 16)
        return keyword_for_tag(number), dictionary_description(number)
    except (ValueError, KeyError):
        private = tag[3:4] in tuple("13579BDFbdf")
        return "", "Private attribute" if private else "Unknown attribute"


def _written(element: Mapping[str, JsonValue], vr: str, values: Sequence[JsonValue]) -> str:
    if "BulkDataURI" in element:
        return "bulk data, not fetched"
    if inline := element.get("InlineBinary"):
        return f"{formatting.number(len(str(inline)) * 3 // 4)} bytes"
    written = " \\ ".join(_format(vr, value) for value in values)
    return written if len(written) <= LONGEST else written[:LONGEST] + " …"


def _format(vr: str, value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return person_name({str(group): name for group, name in value.items()})
    if vr == "UI":
        return _uid(str(value))
    if vr == "DA":
        return formatting.dicom_date(str(value))
    return str(value)


def _uid(uid: str) -> str:
    """Write a UID, and what it stands for where the standard says."""
    from pydicom.uid import UID

    name = UID(uid).name
    return uid if name == uid else f"{uid} ({name})"
