"""Which instances do not leave by rules on attributes alone: documents, and what can show a name.

References
----------
PS3.15 §E.1.1 (burned in information), §E.3.1 (Clean Pixel Data Option); PS3.3 §C.7.6.1.1.2 (Image Type).
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from dicomdock.deidentify.attributes import texts
from dicomdock.dicom.sop_classes import kind_of

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_CROSS_SECTIONS = (
    "2",  # CT
    "2.1",
    "2.2",
    "4",  # MR
    "4.1",
    "4.2",
    "4.3",
    "4.4",
    "20",  # nuclear medicine
    "30",  # parametric map
    "66",  # raw data and what is registered or segmented
    "128",  # PET
    "128.1",
    "130",
    "481.2",  # RT dose
)
_SHOWN_TEXT = {
    "3": "ultrasound images show text",
    "6": "ultrasound images show text",
    "7": "secondary captures are pictures of a screen or of paper",
    "77": "photographs and videos show text and faces",
}
_SCREENS = frozenset(
    {"SCREEN SAVE", "SCREENSAVE", "SCREEN", "DOSE_INFO", "REPORT", "CSA REPORT", "CSA RESULT", "PASTED"}
)


def reason_to_hold(dataset: Dataset) -> str:
    """Return why an instance must not leave as it is; empty where nothing speaks against it."""
    return reason_for_good(dataset) or _reason_in_pixels(dataset)


def reason_for_good(dataset: Dataset) -> str:
    """Return why an instance must not leave even with rectangles blanked; empty where it may."""
    uid = str(dataset.get("SOPClassUID", ""))
    if not uid.startswith(_STORAGE):
        return "its SOP Class is private or unknown, and de-identification is not defined for it"
    if "EncapsulatedDocument" in dataset or kind_of(uid) == "document":
        return "the text of encapsulated documents cannot be cleaned"
    if uid.removeprefix(_STORAGE).startswith("9.4."):
        return "it holds speech"
    if uid == f"{_STORAGE}66":
        return "raw data hold what only their maker knows"
    if str(dataset.get("RecognizableVisualFeatures", "")).upper() == "YES":
        return "it says that it shows features by which a person can be recognized"
    if _overlay_in_pixels(dataset):
        return "an overlay lies in unused bits of its pixels"
    return ""


def _reason_in_pixels(dataset: Dataset) -> str:
    uid = str(dataset.get("SOPClassUID", ""))
    stated = str(dataset.get("BurnedInAnnotation", "")).upper()
    if stated == "YES":
        return "it says that text is burned into its pixels"
    if "PixelData" not in dataset and "Rows" not in dataset:
        return ""
    number = uid.removeprefix(_STORAGE)
    if reason := _SHOWN_TEXT.get(number.split(".")[0]):
        return reason
    if {word.upper().strip() for word in texts(dataset, "ImageType")} & _SCREENS:
        return "its Image Type says that it is a picture of a screen"
    if "ConversionType" in dataset:
        return "it was converted from another picture (Conversion Type)"
    if kind_of(uid) in ("segmentation", "parametric map") or number == "481.2":
        return ""
    if number not in _CROSS_SECTIONS:
        return "" if stated == "NO" else "it does not say that no text is burned into its pixels"
    if int(dataset.get("SamplesPerPixel") or 1) > 1:
        return "it is in colour, as pictures of reports are"
    return ""


def _overlay_in_pixels(dataset: Dataset) -> bool:
    """Return whether an overlay is stored in bits of the pixels (retired, PS3.5-2004 §8.1.2)."""
    return any(
        tag.group in range(0x6000, 0x6100, 2)
        and tag.element == 0x0102
        and int(dataset[tag].value or 0) > 0
        and (tag.group << 16 | 0x3000) not in dataset
        for tag in dataset.keys()  # noqa: SIM118
    )
