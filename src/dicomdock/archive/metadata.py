"""Read the attributes of stored files, without their bulk data.

References
----------
PS3.18 §10.4.1.1.2 (metadata resources), §F.2 (DICOM JSON model).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dicomdock.dicom.dataset import quiet, read_dataset
from dicomdock.dicom.json_model import DicomJson, JsonValue, from_dataset
from dicomdock.dicom.resource import Resource

DEFER = 1 << 12  # bytes; longer values are not read unless they are asked for


def read_metadata(path: Path, resource: Resource) -> DicomJson:
    """Return the attributes of a file; bulk data are addresses below the instance's path.

    Parameters
    ----------
    resource : the instance; a bulk value's address is its path, ``/bulk/``, and the way through sequences to
        the tag: ``00880200/0/7FE00010``, items counted from 0.

    Raises
    ------
    WireError
        The file cannot be read.
    """
    with quiet(), path.open("rb") as file:
        elements = from_dataset(read_dataset(file, defer=DEFER), f"{resource.path}/bulk/")
    elements.pop("00080005", None)
    return {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, **elements}  # JSON is UTF-8


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
