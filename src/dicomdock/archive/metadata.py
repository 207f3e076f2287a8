"""The DICOM JSON model of a whole file, without its bulk data.

References
----------
PS3.18 §10.4.1.1.2 (metadata resources), §F.2 (DICOM JSON model).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dicomdock.dicom.json_model import DicomJson, JsonValue
from dicomdock.dicom.part10_pydicom import BROKEN, quiet
from dicomdock.dicom.resource import Resource
from dicomdock.errors import WireError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"})
DEFER = 1 << 12  # bytes; longer values are not read unless they are asked for


def read_metadata(path: Path, resource: Resource) -> DicomJson:
    """Give the attributes of a file; bulk data stand as addresses below the instance's path.

    Parameters
    ----------
    resource : the instance; a bulk value's address is its path, ``/bulk/``, and the way through sequences to
        the tag: ``00880200/0/7FE00010``, items counted from 0.

    Raises
    ------
    WireError
        The file cannot be read.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    with quiet():
        try:
            dataset = pydicom.dcmread(path, force=True, defer_size=DEFER)
            elements = _elements(dataset, f"{resource.path}/bulk/")
        except (InvalidDicomError, *BROKEN) as error:
            raise WireError(f"The DICOM file of {resource} cannot be read: {error}.") from error
    elements.pop("00080005", None)
    return {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, **elements}  # JSON is UTF-8


def read_fields(path: Path, keywords: Iterable[str]) -> dict[str, JsonValue]:
    """Give some attributes of a file, without bulk data.

    Raises
    ------
    WireError
        The file cannot be read.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    with quiet():
        try:
            dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(keywords))
            elements = _elements(dataset, "")
        except (InvalidDicomError, *BROKEN) as error:
            raise WireError(f"{path} cannot be read: {error}.") from error
    elements.pop("00080005", None)
    return {tag: element for tag, element in elements.items() if "BulkDataURI" not in str(element)}


def _elements(dataset: Dataset, base: str) -> dict[str, JsonValue]:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    found: dict[str, JsonValue] = {}
    for tag in sorted(dataset.keys()):
        if (
            tag.element == 0 or tag.group <= 2
        ):  # group lengths say nothing here, and the meta group is the file's
            continue
        name = f"{tag:08X}"
        raw = dataset.get_item(tag, keep_deferred=True)
        vr = getattr(raw, "VR", None) or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
        if vr in BULK_VRS:
            empty = getattr(raw, "length", None) == 0 or getattr(raw, "value", None) == b""
            vr = "OW" if vr == "OB or OW" else vr
            found[name] = {"vr": vr} if empty else {"vr": vr, "BulkDataURI": base + name}
            continue
        try:
            element = dataset[tag]
            if element.VR == "SQ":
                items: list[JsonValue] = [
                    _elements(item, f"{base}{name}/{number}/") for number, item in enumerate(element.value)
                ]
                found[name] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
            elif element.VR in BULK_VRS:
                found[name] = {"vr": element.VR, "BulkDataURI": base + name}
            else:
                found[name] = element.to_json_dict(None, 0)
        except BROKEN:  # one value that is not what its VR says does not cost the others
            found[name] = {"vr": vr}
    return found
