"""The series of a cohort as a data set of the Brain Imaging Data Structure.

Series that BIDS has no name for are written below ``sourcedata``, segmentations below ``derivatives``.

References
----------
BIDS specification 1.10.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from pydicom.dataset import Dataset

from dicomdock.dicom.resource import Resource
from dicomdock.imaging.attributes import text
from dicomdock.imaging.formats import bids
from dicomdock.version import __version__

IMAGE = ".nii.gz"
DERIVATIVES, SOURCE = PurePosixPath("derivatives", "dicomdock"), PurePosixPath("sourcedata")
NOT_NAMED = "BIDS has no name for it, or its header does not tell which; it is in sourcedata."
_LABELS = bids.Kind("anat", "dseg")
_README = """This data set was exported from DICOM by dicomdock, a program for DICOM archives and servers.

Each subject is a patient, each session a study. The label of an acquisition is the description of its series
with a mark of its UID, so that no two series share a name. What BIDS has no name for is in sourcedata, and
segmentations are in derivatives/dicomdock. Folders named ct follow the draft for computed tomography.
"""


def begin(folder: Path, name: str) -> None:
    """Write what describes the data set, where nothing does yet."""
    _write_new(folder / "dataset_description.json", _description(name, "raw"))
    _write_new(folder / "README.md", _README)
    _write_new(folder / ".bidsignore", "**/ct\n")


def finish(folder: Path, name: str) -> None:
    """List the subjects, and describe the derivatives where there are some."""
    subjects = sorted(one.name for one in folder.glob("sub-*") if one.is_dir())
    if subjects:
        (folder / "participants.tsv").write_text("\n".join(["participant_id", *subjects]) + "\n")
    derivatives = folder / DERIVATIVES
    if derivatives.is_dir():
        _write_new(
            derivatives / "dataset_description.json", _description(f"{name}: segmentations", "derivative")
        )


def targets(
    files: Path, leaving: Resource, original: Dataset, copy: Dataset, *, images: bool
) -> tuple[Mapping[Path, PurePosixPath], Sequence[str]]:
    """Return where each file of a series belongs, and what to say of it.

    Parameters
    ----------
    files : the folder that holds the files of the series, and nothing else.
    leaving : the UIDs that the series leaves under.
    original : header of an instance, which says what it is.
    copy : header of what leaves, which alone goes into names.
    images : the series holds images, no segmentation.
    """
    subject, session = bids.subject_of(copy), bids.session_of(copy)
    acquisition = bids.acquisition_of(copy, str(leaving.series))
    found = sorted(one for one in files.rglob(f"*{IMAGE}"))
    placed: dict[Path, PurePosixPath] = {}
    remarks: dict[str, None] = {}
    for number, image in enumerate(found, 1):
        stem = image.name.removesuffix(IMAGE)
        kind: bids.Kind | None = _LABELS
        below = DERIVATIVES
        if images:
            kind = bids.kind_of_image(
                original,
                text(copy, "SeriesDescription"),
                volumes=_volumes(image),
                diffusion=image.with_name(f"{stem}.bval").exists(),
            )
            below = PurePosixPath()
        if kind is None:
            kind, below = bids.Kind("other", "image"), SOURCE
            remarks[NOT_NAMED] = None
        name = bids.name_of(subject, session, kind, acquisition, number if len(found) > 1 else None)
        for ending in (IMAGE, ".json", ".bval", ".bvec"):
            if (file := image.with_name(stem + ending)).exists():
                placed[file] = below / f"{name}{ending}"
        if task := kind.entities.get("task"):
            _add(image.with_name(f"{stem}.json"), {"TaskName": task})
    return placed, [*remarks]


def _volumes(image: Path) -> int:
    """Return how many time points a NIfTI file has."""
    with gzip.open(image) as file:
        sizes = struct.unpack("<8h", file.read(56)[40:])
    return int(sizes[4]) if sizes[0] > 3 else 1


def _add(path: Path, fields: Mapping[str, str]) -> None:
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, **fields}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _description(name: str, kind: str) -> str:
    document = {
        "Name": name,
        "BIDSVersion": bids.VERSION,
        "DatasetType": kind,
        "GeneratedBy": [{"Name": "dicomdock", "Version": __version__}],
    }
    return json.dumps(document, indent=1) + "\n"


def _write_new(path: Path, content: str) -> None:
    if not path.exists():
        path.write_text(content, "utf-8")
