"""Write measurements as a structured report (TID 1500, Comprehensive 3D SR).

References
----------
PS3.3 §A.35.13 (Comprehensive 3D SR IOD), §C.18.6, §C.18.9 (coordinates); PS3.16 TID 1500, 1501, 1410,
1411, 300.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomdock.dicom.uid import new_uid
from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import text
from dicomdock.imaging.authoring import (
    MANUFACTURER,
    MOST_LETTERS,
    Authorship,
    begin,
    finish,
    named_version,
    next_series_number,
)
from dicomdock.imaging.geometry import planes_of
from dicomdock.imaging.measurements.measurement import Evaluation, Measurement, Value, Vector
from dicomdock.imaging.measurements.reading import Report
from dicomdock.imaging.source_images import slim
from dicomdock.imaging.terminology import Code

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"

ON_IMAGE = 0.01  # mm that points may lie off an image and still be drawn on it

_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_REGIONS = ("POLYGON", "ELLIPSE")


def report_to_dicom(
    report: Report, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> Dataset:
    """Write measurements as a DICOM measurement report of the study of their images.

    A report that was read from DICOM becomes a new version of it, which names its predecessor's series and
    numbers.

    Parameters
    ----------
    report : at least one measurement; points in mm, LPS.
    sources : instances of the series that was measured, with or without pixels; then the segmentations whose
        segments are measured.

    Raises
    ------
    GeometryError
        There is nothing to write, or the sources state no frame of reference.
    """
    import highdicom as hd

    if not report.measurements:
        raise GeometryError("A report without measurements cannot be written.")
    if not sources:
        raise GeometryError("A report needs the images that were measured.")
    frame = report.frame_of_reference or text(sources[0], "FrameOfReferenceUID")
    described = authorship or _presented(report, sources)
    named = {text(header, "SOPInstanceUID"): header for header in sources}
    used = [named[one.image[0]] for one in report.measurements if one.image and one.image[0] in named]
    if any(one.segment for one in report.measurements):
        used = list(sources)  # a segment is measured on all of its images
    evidence = list({text(one, "SOPInstanceUID"): one for one in used}.values()) or list(sources)
    try:
        content = hd.sr.MeasurementReport(
            observation_context=_observers(hd, described.creator),
            procedure_reported=_PROCEDURE,
            imaging_measurements=[_with_texts(hd, one, frame, named) for one in report.measurements],
            title=Code("126000", "DCM", "Imaging Measurement Report"),
        )
        made = hd.sr.Comprehensive3DSR(
            evidence=[slim(header) for header in evidence],
            content=content,
            series_instance_uid=new_uid(),
            series_number=1,
            sop_instance_uid=new_uid(),
            instance_number=1,
            manufacturer=MANUFACTURER,
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise GeometryError(f"The measurements cannot be written: {error}") from error
    dataset = Dataset()
    begin(dataset, COMPREHENSIVE_3D_SR, "SR", sources[0], described)
    for element in made:
        if element.keyword not in dataset:
            dataset.add(element)
    return finish(dataset)


def _presented(report: Report, sources: Sequence[Dataset]) -> Authorship:
    named = report.series_description or "Measurements"
    if not report.instance:
        return Authorship(named, next_series_number(sources, offset=600), creator=report.creator)
    version = report.instance_number + 1
    return Authorship(
        named_version(named, version), report.series_number, instance_number=version, creator=report.creator
    )


def _observers(hd: Any, creator: str) -> Any:
    person = None
    if creator:
        # highdicom takes a name without a caret for a mistake; a trailing one means nothing (PS3.5 §6.2.1.1).
        name = creator if "^" in creator else f"{creator}^"
        person = hd.sr.ObserverContext(
            observer_type=Code("121006", "DCM", "Person"),
            observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(name=name),
        )
    device = hd.sr.ObserverContext(
        observer_type=Code("121007", "DCM", "Device"),
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=new_uid(), name=MANUFACTURER, manufacturer_name=MANUFACTURER
        ),
    )
    return hd.sr.ObservationContext(observer_person_context=person, observer_device_context=device)


def _with_texts(hd: Any, measurement: Measurement, frame: str, named: dict[str, Dataset]) -> Any:
    """Return the group of a measurement with what was judged in words; highdicom takes codes alone."""
    measurement = _writable(measurement)
    group = _group(hd, measurement, frame, named)
    for one in measurement.evaluations:
        if isinstance(one.value, str):
            item = hd.sr.TextContentItem(one.name, one.value, hd.sr.RelationshipTypeValues.CONTAINS)
            group[0].ContentSequence.append(item)
    return group


def _writable(one: Measurement) -> Measurement:
    """Return a measurement whose codes have no longer meanings than are allowed; others' may have."""
    judged = [
        Evaluation(_short(each.name), each.value if isinstance(each.value, str) else _short(each.value))
        for each in one.evaluations
    ]
    values = [
        replace(
            each,
            name=_short(each.name),
            unit=_short(each.unit),
            derivation=_short(each.derivation) if each.derivation else None,
        )
        for each in one.values
    ]
    return replace(
        one,
        finding=_short(one.finding) if one.finding else None,
        site=_short(one.site) if one.site else None,
        evaluations=tuple(judged),
        values=tuple(values),
    )


def _short(code: Code) -> Code:
    return Code(code.value, code.scheme_designator, code.meaning[:MOST_LETTERS], code.scheme_version)


def _group(hd: Any, measurement: Measurement, frame: str, named: dict[str, Dataset]) -> Any:
    flat = _on_image(measurement, measurement.points, named)
    tracking = hd.sr.TrackingIdentifier(
        measurement.tracking_uid or new_uid(), measurement.label[:64] or "Measurement"
    )
    sites = [hd.sr.FindingSite(measurement.site)] if measurement.site else None
    judged = [
        hd.sr.QualitativeEvaluation(one.name, one.value)
        for one in measurement.evaluations
        if isinstance(one.value, Code)
    ]
    if measurement.segment is not None and measurement.segment[0] in named:
        uid, number = measurement.segment
        if measurement.segment_frame is not None and measurement.image is not None:
            return _on_segment(hd, measurement, named, tracking, sites, judged)
        series = text(next(iter(named.values())), "SeriesInstanceUID")
        return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_segment=hd.sr.ReferencedSegment(
                named[uid].SOPClassUID, uid, number, source_series=hd.sr.SourceSeriesForSegmentation(series)
            ),
            finding_type=measurement.finding,
            finding_sites=sites,
            qualitative_evaluations=judged,
            measurements=[_measurement(hd, value) for value in measurement.values],
        )
    points = np.array(measurement.points, dtype=np.float64)
    if measurement.points and not frame and not measurement.flat:
        raise ValueError("the images state no frame of reference")
    if measurement.form in _REGIONS:
        return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_region=(
                hd.sr.ImageRegion3D(measurement.form, points, frame)
                if flat is None
                else hd.sr.ImageRegion(*_drawn(measurement, flat), _source(hd, measurement, named))
            ),
            finding_type=measurement.finding,
            finding_sites=sites,
            qualitative_evaluations=judged,
            measurements=[_measurement(hd, value) for value in measurement.values],
        )
    images = None
    if measurement.image and measurement.image[0] in named:
        header = named[measurement.image[0]]
        frames = [measurement.image[1]] if "NumberOfFrames" in header else None
        images = [hd.sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID, frames)]
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        finding_type=measurement.finding,
        finding_sites=sites,
        qualitative_evaluations=judged,
        measurements=[
            _measurement(hd, value, _place(hd, measurement, value.points or measurement.points, frame, named))
            for value in measurement.values
        ],
        source_images=images,
    )


def _on_segment(
    hd: Any,
    measurement: Measurement,
    named: dict[str, Dataset],
    tracking: Any,
    sites: list[Any] | None,
    judged: list[Any],
) -> Any:
    """Return the group of a segment on one image, which a frame of the segmentation holds (TID 1410)."""
    assert measurement.segment is not None and measurement.image is not None
    uid, number = measurement.segment
    header = named[measurement.image[0]]
    frames = [measurement.image[1]] if "NumberOfFrames" in header else None
    drawn = hd.sr.ReferencedSegmentationFrame(
        named[uid].SOPClassUID,
        uid,
        measurement.segment_frame,
        max(number, 1),
        hd.sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID, frames),
    )
    # A frame is of one segment; its number must not stand beside that of the frame (PS3.3 §C.18.4).
    del drawn[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_segment=drawn,
        finding_type=measurement.finding,
        finding_sites=sites,
        qualitative_evaluations=judged,
        measurements=[_measurement(hd, value) for value in measurement.values],
    )


def _place(
    hd: Any, measurement: Measurement, points: Sequence[Vector], frame: str, named: dict[str, Dataset]
) -> list[Any] | None:
    """Return where a number was measured: on its image, else in the patient."""
    if not points:
        return None
    flat = _on_image(measurement, points, named)
    if flat is None:
        at = np.array(points, dtype=np.float64)
        return [hd.sr.CoordinatesForMeasurement3D(measurement.form, at, frame)]
    return [hd.sr.CoordinatesForMeasurement(*_drawn(measurement, flat), _source(hd, measurement, named))]


def _on_image(
    measurement: Measurement, points: Sequence[Vector], named: dict[str, Dataset]
) -> npt.NDArray[np.float64] | None:
    """Return the points as column and row of the image that they lie on; None where they lie on none.

    Viewers (OHIF) draw coordinates of images, not those in the patient. The centre of the first pixel is
    (0.5, 0.5), PS3.3 §C.18.6.1.2.
    """
    if measurement.image is None or measurement.image[0] not in named or not points:
        return None
    if measurement.flat:
        return np.array(points)[:, :2] + 0.5
    try:
        planes = planes_of(named[measurement.image[0]])
    except GeometryError:
        return None
    plane = next((one for one in planes if one.frame == measurement.image[1]), None)
    if plane is None or not plane.placed or measurement.form == "ELLIPSOID":
        return None
    assert plane.along_row is not None and plane.along_column is not None and plane.spacing is not None
    away = np.array(points) - np.array(plane.origin)
    if np.abs(away @ np.array(plane.normal)).max() > ON_IMAGE:
        return None
    rows, columns = plane.spacing
    at = np.column_stack(
        [away @ np.array(plane.along_row) / columns, away @ np.array(plane.along_column) / rows]
    )
    at += 0.5
    inside = (at >= 0).all() and (at <= [plane.columns, plane.rows]).all()
    return at if inside else None


def _drawn(measurement: Measurement, flat: npt.NDArray[np.float64]) -> tuple[str, npt.NDArray[np.float64]]:
    """Return type and data of a graphic on an image, where a polygon is a closed polyline."""
    if measurement.form != "POLYGON":
        return measurement.form, flat
    closed = flat if np.array_equal(flat[0], flat[-1]) else np.vstack([flat, flat[:1]])
    return "POLYLINE", closed


def _source(hd: Any, measurement: Measurement, named: dict[str, Dataset]) -> Any:
    assert measurement.image is not None, "only measurements on an image are drawn on it"
    header = named[measurement.image[0]]
    frames = [measurement.image[1]] if "NumberOfFrames" in header else None
    return hd.sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID, frames)


def _measurement(hd: Any, value: Value, place: list[Any] | None = None) -> Any:
    return hd.sr.Measurement(
        name=value.name,
        value=value.number,
        unit=value.unit,
        derivation=value.derivation,
        referenced_coordinates=place,
    )
