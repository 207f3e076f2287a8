"""Read the attributes of stored files, without their bulk data.

References
----------
PS3.18 §10.4.1.1.2 (metadata resources), §F.2 (DICOM JSON model).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dicomdock.archive.index.attributes import WANTED
from dicomdock.archive.storage.local import mapped
from dicomdock.dicom.dataset import read_dataset
from dicomdock.dicom.dictionary import tag_of, vr_of
from dicomdock.dicom.header import CHARSET
from dicomdock.dicom.json_model import DicomJson, JsonValue, text
from dicomdock.dicom.json_writing import from_dataset, json_values
from dicomdock.dicom.part10 import walk
from dicomdock.dicom.read_errors import quiet
from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.errors import WireError

DEFER = 1 << 12  # bytes; longer values are not read unless they are asked for


def read_metadata(path: Path, resource: Resource) -> DicomJson:
    """Return the attributes of a file; bulk data are addresses below the instance's path.

    Parameters
    ----------
    resource : the instance; a bulk value's address is its path, ``/bulk/``, and the way through sequences to
        the tag: ``00880200/0/7FE00010``, items counted from 0.

    What pydicom cannot read is filled from the attributes that the index holds, so that one odd file never
    ends a list.
    """
    elements: dict[str, JsonValue] = {}
    with suppress(WireError), quiet(), path.open("rb") as file:
        elements = from_dataset(read_dataset(file, defer=DEFER), f"{resource.path}/bulk/")
    uids = dict(
        zip(UID_KEYWORDS["instances"], (resource.study, resource.series, resource.instance), strict=True)
    )
    if unread := {tag_of(name): uid for name, uid in uids.items() if not text(elements, name)}:
        elements = {**_indexed(path), **elements}
        elements.update((tag, {"vr": "UI", "Value": [uid]}) for tag, uid in unread.items())
        elements = dict(sorted(elements.items()))
    elements.pop("00080005", None)
    return {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, **elements}  # JSON is UTF-8


def _indexed(path: Path) -> dict[str, JsonValue]:
    """Return the attributes that the index holds, as the reader of arriving files finds them."""
    with suppress(WireError, ValueError), mapped(path) as data:
        header = walk(data, len(data), WANTED)
        if header is not None:
            charset, little = header.raw.get(CHARSET, b""), header.byteorder == "little"
            found: dict[str, JsonValue] = {}
            for tag, raw in header.raw.items():
                vr = vr_of(f"{tag:08X}")
                with suppress(struct.error):
                    found[f"{tag:08X}"] = {"vr": vr, "Value": json_values(vr, raw, charset, little=little)}
            return {tag: one for tag, one in found.items() if isinstance(one, dict) and one["Value"]}
    return {}


def read_fields(path: Path, keywords: Iterable[str]) -> dict[str, JsonValue]:
    """Return some attributes of a file, without bulk data.

    Raises
    ------
    WireError
        The file cannot be read.
    """
    with quiet(), path.open("rb") as file:
        elements = from_dataset(read_dataset(file, pixels=False, keywords=keywords))
    elements.pop("00080005", None)
    return {tag: element for tag, element in elements.items() if "BulkDataURI" not in str(element)}
