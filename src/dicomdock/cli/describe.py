"""Describe in a line or two what a study, series or instance is, from its attributes by keyword."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dicomdock.cli.formatting import size
from dicomdock.dicom.json_model import first_group
from dicomdock.dicom.uid import UID_KEYWORDS

if TYPE_CHECKING:
    from dicomdock.dicom.query import SearchLevel
    from dicomdock.sources import JsonValue

SHOWN: Mapping[SearchLevel, tuple[str, ...]] = {
    "studies": (
        "PatientName",
        "PatientID",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    "series": ("SeriesNumber", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances"),
    "instances": ("InstanceNumber", "SOPClassUID", "NumberOfFrames"),
}
NOUNS = {
    "NumberOfStudyRelatedSeries": "series",
    "NumberOfStudyRelatedInstances": "instances",
    "NumberOfSeriesRelatedInstances": "instances",
    "NumberOfFrames": "frames",
}


def describe(match: Mapping[str, JsonValue], level: SearchLevel, fields: Sequence[str] = ()) -> list[str]:
    """Return the lines of one match: what it is, the attributes asked for, and the resource to copy.

    Parameters
    ----------
    match : plain values by keyword.
    fields : keywords to show beside the usual ones; ``all`` shows everything.
    """
    shown = SHOWN[level]
    first = "  ".join(_shown(key, match.get(key)) for key in shown if match.get(key) is not None)
    names = match if "all" in fields else fields
    left_out = (*shown, *UID_KEYWORDS[level])
    further = [f"  {key}: {_shown(key, match.get(key))}" for key in names if key not in left_out]
    place = "/".join(_text(match.get(uid)) for uid in UID_KEYWORDS[level])
    return [first or "(no description)", *further, f"  {place}"]


def _shown(key: str, value: JsonValue) -> str:
    text = _text(value)
    if key == "bytes" and isinstance(value, int):
        return size(value)
    if key.endswith("Date") and len(text) == 8 and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    if key.endswith("Number"):
        return f"#{text}"
    return f"{text} {NOUNS[key]}" if key in NOUNS else text


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, dict):
        return first_group(value) or str(value)
    return str(value)
