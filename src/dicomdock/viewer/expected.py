"""The volumes of a series by the server's metadata, before its images arrive."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.errors import DicomdockError
from dicomdock.imaging.geometry import VolumePlan, split_series


def plans_by_metadata(metadata: Sequence[DicomJson]) -> list[VolumePlan]:
    """Return the volumes of a series; none where its metadata cannot be read or leave a lookup table out."""
    if any(tag in document for document in metadata for tag in _TABLES):
        return []  # their entries are bulk data, which come with the images
    try:
        return split_series(headers_from_json(metadata))
    except (DicomdockError, *READ_ERRORS):
        return []


def headers_from_json(documents: Sequence[DicomJson]) -> list[Dataset]:
    """Read as much of the metadata of a series (PS3.18 §F.2) as its geometry takes.

    Elements that several instances share are read once, and are the same object in all of them.
    """
    known: dict[tuple[str, str], DataElement] = {}
    headers = []
    for document in documents:
        header = Dataset()
        for tag, item in document.items():
            if not isinstance(item, dict):
                continue
            nested = item.get("vr") == "SQ" and tag.startswith("0008")  # references to other objects
            if nested or not tag.startswith(_GROUPS) or "BulkDataURI" in item:
                continue
            key = (tag, str(item))
            if key not in known:
                known[key] = Dataset.from_json({tag: item})[tag]
            header.add(known[key])
        headers.append(header)
    return headers


_TABLES = ("00283000", "00283010")  # Modality and VOI LUT Sequence
_GROUPS = ("0008", "0018", "0019", "0020", "0028", "0043", "0054", "2001", "3004", "5200", "7FE0")
"""Groups of attributes for the geometry and the values of images, vendors' b-values among them."""
