"""What a header states of how its values are shown: VOI lookup tables and windows.

References
----------
PS3.3 §C.11.2 (VOI LUT).
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import integer, items, number, numbers, text, texts
from dicomdock.imaging.geometry.plane import Window
from dicomdock.imaging.lookup import read_table

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def windows_of(dataset: Dataset | None, header: Dataset | None = None) -> tuple[Window, ...]:
    """Return the VOI lookup tables and the windows that a dataset states, the tables first.

    A LINEAR window less than one value wide, which the standard does not allow, is taken as LINEAR_EXACT.

    Parameters
    ----------
    dataset : what may state them: a header, or an item of the Frame VOI LUT Sequence.
    header : of the instance, which states whether values may be negative; else the dataset itself.
    """
    if dataset is None:
        return ()
    centers, widths = numbers(dataset, "WindowCenter") or (), numbers(dataset, "WindowWidth") or ()
    names = texts(dataset, "WindowCenterWidthExplanation")
    stated = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    function = stated if stated in FUNCTIONS else "LINEAR"
    windows = [
        Window(
            center,
            width,
            names[at] if at < len(names) else "",
            "LINEAR_EXACT" if function == "LINEAR" and width < 1 else function,
        )
        for at, (center, width) in enumerate(zip(centers, widths, strict=False))
        if width > 0
    ]
    return (*_tables(dataset, dataset if header is None else header), *windows)


def _tables(dataset: Dataset, header: Dataset) -> list[Window]:
    found = []
    for at, item in enumerate(items(dataset, "VOILUTSequence"), 1):
        signed = integer(header, "PixelRepresentation") == 1 or (number(header, "RescaleIntercept") or 0) < 0
        table = read_table(item, signed=signed)
        if table is not None:
            low, high = table.active
            name = text(item, "LUTExplanation") or f"VOI LUT {at}"
            found.append(Window((low + high) / 2, max(1, high - low), name, "TABLE", table))
    return found


def is_inverse(header: Dataset) -> bool:
    """Return whether low values are shown bright.

    Presentation LUT Shape decides where it is stated, as in DCMTK and dcm4che: an image may be MONOCHROME1
    and IDENTITY, whose values are meant to be shown as they are.

    References
    ----------
    PS3.3 §C.11.6 (Softcopy Presentation LUT), §C.7.6.3.1.2 (Photometric Interpretation).
    """
    shape = text(header, "PresentationLUTShape").upper()
    if shape in ("INVERSE", "IDENTITY"):
        return shape == "INVERSE"
    return text(header, "PhotometricInterpretation").upper() == "MONOCHROME1"
