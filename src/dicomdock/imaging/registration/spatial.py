"""Spatial Registration objects: read, and written for two series.

References
----------
PS3.3 §A.39.1 (Spatial Registration IOD), §C.20.2; PS3.16 CID 7100 (registration types).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import items, numbers, text
from dicomdock.imaging.authoring import (
    Authorship,
    begin,
    decimal_string,
    finish,
    next_series_number,
    reference,
    set_laterality,
)
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.registration.rigid import Matrix, inverted, require_rigid
from dicomdock.imaging.terminology import Code, code_item, code_of

SPATIAL_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.1"

FIDUCIALS = Code("125022", "DCM", "Fiducial Alignment")
CONTENT = Code("125024", "DCM", "Image Content-based Alignment")
VISUAL = Code("125025", "DCM", "Visual Alignment")
_IDENTITY = Code("125021", "DCM", "Frame of Reference Identity")


@dataclass(frozen=True, eq=False)
class Registration:
    """How one frame of reference lies in another.

    Parameters
    ----------
    fixed, moving : UIDs of the frames of reference.
    matrix : 4 x 4, takes points of ``moving`` to ``fixed``, in mm, LPS; rigid.
    kind : how it was found; None where it is not stated.
    comment : in words; may be empty.
    instance : SOP Instance UID of its object; empty for a new one.
    """

    fixed: str
    moving: str
    matrix: Matrix
    kind: Code | None = None
    comment: str = ""
    instance: str = ""

    def between(self, fixed: str, moving: str) -> Matrix | None:
        """Return the matrix from one frame of reference to another, also backwards; None for other ones."""
        if (fixed, moving) == (self.fixed, self.moving):
            return self.matrix
        if (fixed, moving) == (self.moving, self.fixed):
            return inverted(self.matrix)
        return None


def is_registration(header: Dataset) -> bool:
    """Return whether an instance is a Spatial Registration."""
    return text(header, "SOPClassUID") == SPATIAL_REGISTRATION


@reading("The spatial registration")
def read_registrations(instance: Instance) -> list[Registration]:
    """Read the frames of reference that a Spatial Registration registers to its own.

    Several matrices of one frame of reference are applied one after the other.

    Raises
    ------
    GeometryError
        It is none, or a matrix is not rigid, which is all that is applied.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    if not is_registration(dataset):
        raise GeometryError("The instance is not a Spatial Registration.", [uid])
    own = text(dataset, "FrameOfReferenceUID")
    found = []
    for item in items(dataset, "RegistrationSequence"):
        frame = text(item, "FrameOfReferenceUID")
        if not frame or frame == own:
            continue
        whole = np.eye(4)
        kind, comment = None, ""
        for step in items(item, "MatrixRegistrationSequence"):
            kind = code_of(step, "RegistrationTypeCodeSequence") or kind
            comment = text(step, "FrameOfReferenceTransformationComment") or comment
            for one in items(step, "MatrixSequence"):
                values = numbers(one, "FrameOfReferenceTransformationMatrix", 16)
                if values is None:
                    raise GeometryError(
                        "The spatial registration holds a matrix of other than 16 numbers.", [uid]
                    )
                whole = np.reshape(values, (4, 4)) @ whole
        found.append(Registration(own, frame, require_rigid(whole), kind, comment, uid))
    return found


def registration_to_dicom(
    registration: Registration,
    fixed: Sequence[Dataset],
    moving: Sequence[Dataset],
    *,
    authorship: Authorship | None = None,
) -> Dataset:
    """Write a Spatial Registration into the study of the fixed images.

    Parameters
    ----------
    fixed, moving : the instances of both series, with or without pixels; they may be of different studies.

    Raises
    ------
    GeometryError
        The matrix is not rigid, a series is empty or in another frame of reference, or both are the same.
    """
    matrix = require_rigid(registration.matrix)
    for headers, frame in ((fixed, registration.fixed), (moving, registration.moving)):
        if not frame or not headers or any(text(one, "FrameOfReferenceUID") != frame for one in headers):
            raise GeometryError(
                "The images of a registration must lie in the frames of reference that it joins."
            )
    if registration.fixed == registration.moving:
        raise GeometryError("Both series lie in the same frame of reference: they are registered already.")
    lead = fixed[0]
    dataset = Dataset()
    described = authorship or Authorship(
        registration.comment or "Registration", next_series_number(fixed, offset=900)
    )
    begin(dataset, SPATIAL_REGISTRATION, "REG", lead, described)
    set_laterality(dataset, lead)
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = UID(registration.fixed), ""
    dataset.ContentLabel = "REGISTRATION"
    dataset.ContentDescription = registration.comment[:64]
    dataset.ContentCreatorName = described.creator
    dataset.RegistrationSequence = [
        _item(registration.fixed, np.eye(4), _IDENTITY, "", fixed),
        _item(registration.moving, matrix, registration.kind, registration.comment, moving),
    ]
    _refer(dataset, fixed, moving)
    return finish(dataset)


def _item(frame: str, matrix: Matrix, kind: Code | None, comment: str, images: Sequence[Dataset]) -> Dataset:
    values = Dataset()
    values.FrameOfReferenceTransformationMatrix = [decimal_string(float(one)) for one in matrix.ravel()]
    values.FrameOfReferenceTransformationMatrixType = "RIGID"
    step = Dataset()
    if comment:
        step.FrameOfReferenceTransformationComment = comment
    step.RegistrationTypeCodeSequence = [code_item(kind)] if kind is not None else []
    step.MatrixSequence = [values]
    item = Dataset()
    item.FrameOfReferenceUID = UID(frame)
    item.ReferencedImageSequence = [reference(one) for one in images]
    item.MatrixRegistrationSequence = [step]
    return item


def _refer(dataset: Dataset, fixed: Sequence[Dataset], moving: Sequence[Dataset]) -> None:
    """Name the series of both, each in its study (PS3.3 §C.12.2)."""
    own, others = [], []
    for images in (fixed, moving):
        series = Dataset()
        series.SeriesInstanceUID = images[0].SeriesInstanceUID
        series.ReferencedInstanceSequence = [reference(one) for one in images]
        if images[0].StudyInstanceUID == dataset.StudyInstanceUID:
            own.append(series)
            continue
        study = Dataset()
        study.StudyInstanceUID = images[0].StudyInstanceUID
        study.ReferencedSeriesSequence = [series]
        others.append(study)
    dataset.ReferencedSeriesSequence = own
    if others:
        dataset.StudiesContainingOtherReferencedInstancesSequence = others
