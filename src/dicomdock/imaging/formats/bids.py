"""Names of the Brain Imaging Data Structure: what an image is, and what its file is called.

References
----------
BIDS specification 1.10, Magnetic Resonance Imaging (data types, suffixes, entities).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import number, text, texts

VERSION = "1.10.0"
LONGEST = 24  # characters of a description in a name
_NAMED = (
    ("FLAIR", frozenset({"flair"})),
    ("T2starw", frozenset({"t2star", "swi", "gre", "medic", "venobold"})),
    ("T1w", frozenset({"t1", "t1w", "mprage", "bravo", "spgr", "fspgr"})),
    ("T2w", frozenset({"t2", "t2w"})),
    ("PDw", frozenset({"pd", "pdw"})),
)
"""Suffixes by words of a description, the more specific ones first."""

_NO_IMAGE = frozenset({"localizer", "localiser", "scout", "survey", "localizer3d", "aahead", "calibration"})
_NOT_ALPHANUMERIC = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is in BIDS.

    Parameters
    ----------
    datatype : the folder that it is in, ``anat``.
    suffix : the last part of its name, ``T1w``.
    entities : further parts of its name, in the order of the standard: those before ``acq``.
    """

    datatype: str
    suffix: str
    entities: Mapping[str, str] = field(default_factory=dict)


def kind_of_image(header: Dataset, description: str, *, volumes: int, diffusion: bool) -> Kind | None:
    """Return what an image is in BIDS; None for what it has no name for, or that it does not show.

    Parameters
    ----------
    header : of one of its instances.
    description : a label of its own that may stand in the name of its task.
    volumes : time points of its file.
    diffusion : b-values stand beside it.
    """
    if text(header, "Modality") == "CT":
        return Kind("ct", "ct")
    if text(header, "Modality") != "MR":
        return None
    words = _words(header)
    image_type = {one.upper() for one in texts(header, "ImageType")}
    if words & _NO_IMAGE or image_type & {"DERIVED", "LOCALIZER"}:
        return None
    if diffusion:
        return Kind("dwi", "dwi")
    if volumes > 1:
        if "EP" not in texts(header, "ScanningSequence") or number(header, "RepetitionTime") is None:
            return None
        rest = any("rest" in word for word in words)
        return Kind("func", "bold", {"task": "rest" if rest else _label(description)[:LONGEST] or "unknown"})
    suffix = next((suffix for suffix, names in _NAMED if words & names), "") or _weighting(header)
    return Kind("anat", suffix) if suffix else None


def _words(header: Dataset) -> frozenset[str]:
    description = f"{text(header, 'SeriesDescription')} {text(header, 'ProtocolName')}".casefold()
    description = description.replace("t2*", "t2star").replace("t2_star", "t2star")
    return frozenset(_NOT_ALPHANUMERIC.sub(" ", description).split())


def _weighting(header: Dataset) -> str:
    """Return the suffix by the times of a spin echo or an inversion; empty where they do not show it."""
    sequences = set(texts(header, "ScanningSequence"))
    echo, repetition = number(header, "EchoTime"), number(header, "RepetitionTime")
    inversion = number(header, "InversionTime")
    if echo is None or repetition is None:
        return ""
    if inversion is not None and inversion > 1500 and echo > 70:
        return "FLAIR"
    if "IR" in sequences and "GR" in sequences and echo < 10:
        return "T1w"
    if "SE" not in sequences:
        return ""
    if echo >= 60 and repetition > 1500:
        return "T2w"
    if echo < 30:
        return "T1w" if repetition < 1000 else "PDw" if repetition > 1500 else ""
    return ""


def subject_of(header: Dataset) -> str:
    """Return the label of a patient: letters and digits of the Patient ID, and a mark where it has others."""
    stated = text(header, "PatientID").strip()
    label = _label(stated)
    if label == stated and label:
        return label
    name = stated or f"{text(header, 'PatientName')} {text(header, 'PatientBirthDate')}".strip()
    return label + mark_of(name or text(header, "StudyInstanceUID"))[:6]


def session_of(header: Dataset) -> str:
    """Return the label of a study: its date, where it has one, and a mark of its UID."""
    return _label(text(header, "StudyDate")) + mark_of(text(header, "StudyInstanceUID"))[:6]


def name_of(subject: str, session: str, kind: Kind, acquisition: str, run: int | None) -> str:
    """Return the path of a file below a data set, without its ending.

    Parameters
    ----------
    acquisition : label that distinguishes the series from others.
    run : number of the file, where its series has several.
    """
    entities = {"sub": subject, "ses": session, **kind.entities, "acq": acquisition}
    if run is not None:
        entities["run"] = str(run)
    name = "_".join(f"{key}-{label}" for key, label in entities.items())
    return f"sub-{subject}/ses-{session}/{kind.datatype}/{name}_{kind.suffix}"


def acquisition_of(header: Dataset, series: str) -> str:
    """Return the label of a series: its description, and a mark of its UID."""
    return _label(text(header, "SeriesDescription"))[:LONGEST] + mark_of(series)[:8]


def mark_of(value: str) -> str:
    """Return hexadecimal digits that stand for a value."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _label(value: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", value)
