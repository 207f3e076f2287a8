"""Read measurement reports (TID 1500), also those of other programs, as far as they hold measurements.

References
----------
PS3.16 TID 1500, 1501, 1410, 1411, 300; PS3.3 §C.17.3 (SR Document Content), §C.18.6, §C.18.9 (coordinates).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.dicom.uid import is_uid
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, number, numbers, text
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry import Plane, planes_of
from dicomdock.imaging.measurements.measurement import (
    AREA,
    LENGTH,
    LONG_AXIS,
    NO_UNITS,
    PERIMETER,
    PIXEL,
    RADIUS,
    SHORT_AXIS,
    SQUARE_PIXEL,
    Evaluation,
    Form,
    Measurement,
    Value,
    Vector,
)
from dicomdock.imaging.references import references_of
from dicomdock.imaging.terminology import Code, code_of

MAX_DEPTH = 50  # levels of content; a report that nests deeper is a trap

_GROUP = Code("125007", "DCM", "Measurement Group")
_TRACKING = Code("112039", "DCM", "Tracking Identifier")
_TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
_FINDING = Code("121071", "DCM", "Finding")
_SITE = Code("363698007", "SCT", "Finding Site")
_SEGMENTATION_FRAME = Code("121214", "DCM", "Referenced Segmentation Frame")
_DERIVATION = Code("121401", "DCM", "Derivation")
_FORMS: dict[str, Form] = {
    "POINT": "POINT",
    "MULTIPOINT": "MULTIPOINT",
    "POLYLINE": "POLYLINE",
    "POLYGON": "POLYGON",
    "ELLIPSE": "ELLIPSE",
    "ELLIPSOID": "ELLIPSOID",
}


@dataclass(frozen=True)
class Report:
    """The measurements of one report.

    Parameters
    ----------
    measurements : one for each group.
    title : what kind of report it is.
    frame_of_reference : UID of the points; may be empty.
    instance, series : its own UIDs; empty for a new one.
    evidence : SOP Instance UIDs of what it was made from.
    series_number, series_description, instance_number : as stored.
    creator : who measured, as a DICOM person name, for a report that is to be written; empty for not stated.
    """

    measurements: tuple[Measurement, ...]
    title: str = ""
    frame_of_reference: str = ""
    instance: str = ""
    series: str = ""
    evidence: tuple[str, ...] = ()
    series_number: int = 1
    series_description: str = ""
    instance_number: int = 1
    creator: str = ""


_PIXELS = {
    **dict.fromkeys((LENGTH, LONG_AXIS, SHORT_AXIS, PERIMETER, RADIUS), PIXEL),
    AREA: SQUARE_PIXEL,
}
"""What dcmjs, and with it OHIF, means by the unit 1 (UCUM) that it calls ``px``. It gives the same code to
numbers of pixel values that have no unit."""


def is_report(header: Dataset) -> bool:
    """Return whether an instance is a structured report."""
    return text(header, "SOPClassUID").startswith("1.2.840.10008.5.1.4.1.1.88.")


@reading("The report")
def read_report(instance: Instance, sources: Sequence[Dataset] = ()) -> Report:
    """Read the measurements of a structured report.

    Parameters
    ----------
    instance : a structured report.
    sources : headers of the images, to place points that are given as pixels of them.

    Raises
    ------
    GeometryError
        It is not a structured report.
    """
    dataset = as_dataset(instance)
    if not is_report(dataset):
        raise GeometryError("The instance is not a structured report.", [text(dataset, "SOPInstanceUID")])
    reader = _Reader(_planes(sources))
    measurements = tuple(reader.measurement(group) for group in _groups(dataset, 0))
    evidence = [uid for instances in references_of(dataset).values() for uid in instances]
    title = code_of(dataset, "ConceptNameCodeSequence")
    return Report(
        measurements,
        title.meaning if title else "",
        reader.frame_of_reference,
        text(dataset, "SOPInstanceUID"),
        text(dataset, "SeriesInstanceUID"),
        tuple(dict.fromkeys(evidence)),
        integer(dataset, "SeriesNumber") or 1,
        text(dataset, "SeriesDescription"),
        integer(dataset, "InstanceNumber") or 1,
    )


def _planes(sources: Sequence[Dataset]) -> dict[tuple[str, int], Plane]:
    planes = {}
    for source in sources:
        try:
            planes.update({(plane.instance, plane.frame): plane for plane in planes_of(source)})
        except GeometryError:
            continue
    return planes


def _content(item: Dataset) -> Sequence[Dataset]:
    return items(item, "ContentSequence")


def _groups(item: Dataset, depth: int) -> Iterator[Dataset]:
    if depth > MAX_DEPTH:
        return
    for child in _content(item):
        if code_of(child, "ConceptNameCodeSequence") == _GROUP:
            yield child
        else:
            yield from _groups(child, depth + 1)


class _Reader:
    """Reads groups, and notes the frame of reference of their points."""

    def __init__(self, planes: dict[tuple[str, int], Plane]) -> None:
        self.planes = planes
        self.frame_of_reference = ""

    def measurement(self, group: Dataset) -> Measurement:
        found = Measurement("")
        values = []
        for child in _content(group):
            name = code_of(child, "ConceptNameCodeSequence")
            kind = text(child, "ValueType")
            if name == _TRACKING:
                found = replace(found, label=text(child, "TextValue"))
            elif name == _TRACKING_UID:
                uid = text(child, "UID")
                found = replace(found, tracking_uid=uid if is_uid(uid) else "")
            elif name == _FINDING:
                found = replace(found, finding=code_of(child, "ConceptCodeSequence"))
            elif name == _SITE:
                found = replace(found, site=code_of(child, "ConceptCodeSequence"))
            elif kind == "NUM" and name is not None:
                value = _value(child, name)
                if value is not None:
                    own = Measurement("")
                    for below in _content(child):
                        own = self._placed(own, below)
                    values.append(replace(value, points=own.points))
                for below in _content(child):
                    found = self._placed(found, below)
            elif name is not None and (judged := _judgement(child)) is not None:
                found = replace(found, evaluations=(*found.evaluations, Evaluation(name, judged)))
            else:
                found = self._placed(found, child)
        if len({value.points for value in values}) < 2:  # all numbers have one place: the measurement's
            values = [replace(value, points=()) for value in values]
        label = found.label or (found.finding.meaning if found.finding else "Measurement")
        return replace(found, label=label, values=tuple(values))

    def _placed(self, found: Measurement, item: Dataset) -> Measurement:
        kind = text(item, "ValueType")
        if kind in ("SCOORD3D", "SCOORD") and not found.points:
            form = _FORMS.get(text(item, "GraphicType"), "POLYLINE")
            data = numbers(item, "GraphicData") or ()
            if kind == "SCOORD3D":
                self.frame_of_reference = text(item, "ReferencedFrameOfReferenceUID")
                return replace(
                    found, form=form, points=_vectors(np.reshape(data[: len(data) // 3 * 3], (-1, 3)))
                )
            image = next((ref for below in _content(item) if (ref := _image(below)) is not None), None)
            plane = self.planes.get(image) if image else None
            form = "POLYGON" if text(item, "GraphicType") == "POLYLINE" and _closed(data) else form
            form = "ELLIPSE" if text(item, "GraphicType") == "CIRCLE" else form
            if plane is None:
                return replace(found, image=image or found.image)
            if not plane.placed:
                pairs = np.reshape(data[: len(data) // 2 * 2], (-1, 2)) - 0.5
                points = tuple((float(column), float(row), 0.0) for column, row in pairs)
                return replace(found, form=form, points=points, flat=True, image=image)
            self.frame_of_reference = plane.frame_of_reference
            return replace(found, form=form, points=_in_patient(plane, data), image=image)
        if kind == "IMAGE":
            reference = first(item, "ReferencedSOPSequence")
            segment = integer(reference, "ReferencedSegmentNumber")
            image = _image(item)
            on_frame = code_of(item, "ConceptNameCodeSequence") == _SEGMENTATION_FRAME
            if image is not None and (segment is not None or on_frame):
                frame = integer(reference, "ReferencedFrameNumber") if on_frame else None
                return replace(found, segment=(image[0], segment or 0), segment_frame=frame)
            return replace(found, image=found.image or image)
        return found


def _judgement(item: Dataset) -> Code | str | None:
    """Return a qualitative evaluation; how and when was measured has other relationships."""
    if text(item, "RelationshipType") != "CONTAINS":
        return None
    if text(item, "ValueType") == "CODE":
        return code_of(item, "ConceptCodeSequence")
    return text(item, "TextValue") or None if text(item, "ValueType") == "TEXT" else None


def _value(item: Dataset, name: Code) -> Value | None:
    measured = first(item, "MeasuredValueSequence")
    amount = number(measured, "FloatingPointValue")
    amount = number(measured, "NumericValue") if amount is None else amount
    if amount is None:
        return None
    unit = code_of(measured, "MeasurementUnitsCodeSequence") or NO_UNITS
    if unit == NO_UNITS and unit.meaning == "px":
        unit = _PIXELS.get(name, NO_UNITS)
    derivation = next(
        (code_of(below, "ConceptCodeSequence") for below in _content(item)
         if code_of(below, "ConceptNameCodeSequence") == _DERIVATION),
        None,
    )  # fmt: skip
    return Value(name, amount, unit, derivation)


def _image(item: Dataset) -> tuple[str, int] | None:
    reference = first(item, "ReferencedSOPSequence")
    uid = text(reference, "ReferencedSOPInstanceUID")
    return (uid, integer(reference, "ReferencedFrameNumber") or 1) if uid else None


def _vectors(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[Vector, ...]:
    return tuple((float(x), float(y), float(z)) for x, y, z in points)


def _closed(data: Sequence[float]) -> bool:
    return len(data) > 6 and tuple(data[:2]) == tuple(data[-2:])


def _in_patient(plane: Plane, data: Sequence[float]) -> tuple[Vector, ...]:
    """Place pixel coordinates (column, row); 0, 0 is the first pixel's upper left corner (PS3.3 §C.18.6)."""
    assert plane.origin is not None and plane.along_row is not None and plane.along_column is not None
    rows, columns = plane.spacing or (1.0, 1.0)
    pairs = np.reshape(data[: len(data) // 2 * 2], (-1, 2)) - 0.5
    points = (
        np.array(plane.origin)
        + np.outer(pairs[:, 0] * columns, plane.along_row)
        + np.outer(pairs[:, 1] * rows, plane.along_column)
    )
    return _vectors(points)
