"""Documents encapsulated in DICOM: PDF reports, STL models and their like. They are handed on as bytes, never
interpreted.

References
----------
PS3.3 §A.45 (Encapsulated Document IODs), §A.85 (Encapsulated STL), §C.24.2, §C.35.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicomdock.errors import GeometryError, InvalidInput
from dicomdock.imaging.attributes import integer, text
from dicomdock.imaging.authoring import Authorship, begin, finish, next_series_number, reference
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.terminology import Code, code_item

PDF, STL = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.104.3"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"

KINDS = {
    PDF: ("application/pdf", ".pdf"),
    CDA: ("text/XML", ".xml"),
    STL: ("model/stl", ".stl"),
    "1.2.840.10008.5.1.4.1.1.104.4": ("model/obj", ".obj"),
    "1.2.840.10008.5.1.4.1.1.104.5": ("model/mtl", ".mtl"),
}
"""SOP class -> media type and the ending of a file name."""

_STL_HEADER = 84  # bytes before the triangles of a binary STL
_STL_TRIANGLE = 50  # bytes
_MILLIMETRE = Code("mm", "UCUM", "mm")


@dataclass(frozen=True, slots=True)
class Document:
    """A document.

    Parameters
    ----------
    title : its title; may be empty.
    media_type : for example ``application/pdf``.
    suffix : the ending that a file of it takes, with the dot.
    data : the document itself.
    """

    title: str
    media_type: str
    suffix: str
    data: bytes


def is_document(header: Dataset) -> bool:
    """Return whether an instance is an encapsulated document."""
    return text(header, "SOPClassUID") in KINDS


@reading("The document")
def read_document(instance: Instance) -> Document:
    """Take a document out of its DICOM instance.

    Raises
    ------
    GeometryError
        It is not an encapsulated document, or an empty one.
    """
    dataset = as_dataset(instance)
    uid = text(dataset, "SOPInstanceUID")
    kind = KINDS.get(text(dataset, "SOPClassUID"))
    if kind is None:
        raise GeometryError("The instance is not an encapsulated document.", [uid])
    data = bytes(dataset.get("EncapsulatedDocument") or b"")
    if not data:
        raise GeometryError("The instance holds no document.", [uid])
    length = integer(dataset, "EncapsulatedDocumentLength")
    if length is not None and 0 < length <= len(data):
        data = data[:length]
    elif kind[0] == "application/pdf" and data.endswith(b"\0"):
        data = data[:-1]
    media_type = text(dataset, "MIMETypeOfEncapsulatedDocument") or kind[0]
    title = text(dataset, "DocumentTitle") or text(dataset, "SeriesDescription")
    return Document(title, media_type, kind[1], data)


def pdf_to_dicom(
    data: bytes, title: str, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> Dataset:
    """Put a PDF document into a study.

    Parameters
    ----------
    sources : at least one instance of the study; the document refers to all that are given.

    Raises
    ------
    InvalidInput
        The bytes are not a PDF.
    GeometryError
        There is no source.
    """
    if b"%PDF-" not in data[:1024]:
        raise InvalidInput("The document is not a PDF.")
    dataset = _document(data, title, PDF, "DOC", sources, authorship)
    dataset.ConversionType = "SI"
    return finish(dataset)


def stl_to_dicom(
    data: bytes, title: str, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> Dataset:
    """Put a binary STL model, in mm and LPS, into a study.

    Parameters
    ----------
    sources : instances of the series it was modelled on; the model lies in their frame of reference.

    Raises
    ------
    InvalidInput
        The bytes are not a binary STL model, which is the only form DICOM takes.
    GeometryError
        There is no source, or it states no frame of reference.
    """
    triangles = int.from_bytes(data[80:84], "little")
    if len(data) < _STL_HEADER or len(data) != _STL_HEADER + _STL_TRIANGLE * triangles:
        raise InvalidInput("The model is not a binary STL file; DICOM takes no other.")
    dataset = _document(data, title, STL, "M3D", sources, authorship)
    frame = text(sources[0], "FrameOfReferenceUID")
    if not frame:
        raise GeometryError(
            "The source images state no frame of reference.", [text(sources[0], "SOPInstanceUID")]
        )
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = UID(frame), ""
    series = Dataset()
    series.SeriesInstanceUID = sources[0].SeriesInstanceUID
    series.ReferencedInstanceSequence = [reference(source) for source in sources]
    dataset.ReferencedSeriesSequence = [series]
    dataset.MeasurementUnitsCodeSequence = [code_item(_MILLIMETRE)]
    dataset.ModelModification = "NO"
    dataset.ModelMirroring = "NO"
    return finish(dataset)


def _document(
    data: bytes,
    title: str,
    sop_class: str,
    modality: str,
    sources: Sequence[Dataset],
    authorship: Authorship | None,
) -> Dataset:
    if not sources:
        raise GeometryError("A document needs an instance of the study it belongs to.")
    dataset = Dataset()
    described = authorship or Authorship(title, next_series_number(sources, offset=400))
    begin(dataset, sop_class, modality, sources[0], described)
    media_type, _ = KINDS[sop_class]
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES" if sop_class == PDF else "NO"
    dataset.SourceInstanceSequence = [reference(source) for source in sources]
    dataset.DocumentTitle = title
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = media_type
    dataset.EncapsulatedDocumentLength = len(data)
    dataset.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    return dataset
