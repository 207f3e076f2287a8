"""Parametric maps: real numbers with a quantity and a unit, on the grid of the images they were computed
from.

References
----------
PS3.3 §A.75 (Parametric Map IOD), §C.7.6.16.2.11 (Real World Value Mapping).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from dicomdock.errors import GeometryError
from dicomdock.imaging.attributes import first, integer, items, text
from dicomdock.imaging.authoring import (
    Authorship,
    begin,
    finish,
    next_series_number,
    reference,
    surrogate_series,
)
from dicomdock.imaging.dataset import Instance, as_dataset, reading
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.segmentation import Origin, content_label
from dicomdock.imaging.source_images import place_sources
from dicomdock.imaging.terminology import ANATOMY, Code, Terminology, code_item, code_of
from dicomdock.imaging.volume import Volume

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"

_QUANTITY = Code("246205007", "SCT", "Quantity")
_SOMEWHERE = Code("91723000", "SCT", "Anatomical structure")
_NO_UNITS = Code("1", "UCUM", "no units")


@dataclass(frozen=True, eq=False)
class ParametricMap:
    """A map of one quantity.

    Parameters
    ----------
    volume : the values, in ``unit``, rescaled already.
    unit : in UCUM.
    quantity : what it is a map of; None if not stated.
    name : in words.
    source_series, source_instances : UIDs of the images it was computed from, as far as they are named.
    origin : the object it was read from; None for a new one.
    region : the part of the body; None to take it from the source images.
    """

    volume: Volume
    unit: Code = _NO_UNITS
    quantity: Code | None = None
    name: str = ""
    source_series: str = ""
    source_instances: tuple[str, ...] = ()
    origin: Origin | None = None
    region: Code | None = None


def is_parametric_map(header: Dataset) -> bool:
    """Return whether an instance is a Parametric Map."""
    return text(header, "SOPClassUID") == PARAMETRIC_MAP


@reading("The parametric map")
def read_parametric_map(instance: Instance) -> ParametricMap:
    """Read a parametric map, of whole or real numbers.

    Raises
    ------
    GeometryError
        It is not a parametric map, its frames form no volume, or it cannot be decoded.
    """
    dataset = as_dataset(instance)
    if not is_parametric_map(dataset):
        raise GeometryError("The instance is not a Parametric Map.", [text(dataset, "SOPInstanceUID")])
    plan = split_series([dataset])[0].require_spatial()
    volume = Volume.from_instances([dataset], plan=plan)
    groups = [
        *items(dataset, "SharedFunctionalGroupsSequence"),
        *items(dataset, "PerFrameFunctionalGroupsSequence"),
    ]
    mappings = (first(group, "RealWorldValueMappingSequence") for group in groups)
    mapping = next((found for found in mappings if found is not None), None)
    series = first(dataset, "ReferencedSeriesSequence")
    named = items(series, "ReferencedInstanceSequence")
    origin = Origin(
        PARAMETRIC_MAP,
        text(dataset, "SOPInstanceUID"),
        text(dataset, "SeriesInstanceUID"),
        integer(dataset, "SeriesNumber") or 1,
        integer(dataset, "InstanceNumber") or 1,
        text(dataset, "SeriesDescription"),
        text(dataset, "ContentLabel"),
    )
    return ParametricMap(
        volume,
        code_of(mapping, "MeasurementUnitsCodeSequence") or _NO_UNITS,
        _quantity(mapping),
        text(mapping, "LUTExplanation") or text(dataset, "ContentDescription") or text(mapping, "LUTLabel"),
        text(series, "SeriesInstanceUID"),
        tuple(text(item, "ReferencedSOPInstanceUID") for item in named),
        origin,
        next((found for group in groups if (found := _region(group)) is not None), None),
    )


def _quantity(mapping: Dataset | None) -> Code | None:
    for item in items(mapping, "QuantityDefinitionSequence"):
        if code_of(item, "ConceptNameCodeSequence") == _QUANTITY:
            return code_of(item, "ConceptCodeSequence")
    return None


def _region(group: Dataset) -> Code | None:
    return code_of(first(group, "FrameAnatomySequence"), "AnatomicRegionSequence")


def _anatomy(parametric: ParametricMap, source: Dataset) -> Dataset:
    """State what part of the body is mapped; other programs require it."""
    known = Terminology.suggest(text(source, "BodyPartExamined"))
    guessed = known.kind if known.category == ANATOMY else _SOMEWHERE
    item = Dataset()
    item.FrameLaterality = {"R": "R", "L": "L"}.get(text(source, "Laterality"), "U")
    region = parametric.region or code_of(source, "AnatomicRegionSequence") or guessed
    item.AnatomicRegionSequence = [code_item(region)]
    return item


def parametric_map_to_dicom(
    parametric: ParametricMap, sources: Sequence[Dataset], *, authorship: Authorship | None = None
) -> Dataset:
    """Write a parametric map as 32-bit real numbers.

    Parameters
    ----------
    parametric : grey values with a place in the patient.
    sources : the instances of the series it was computed from, with or without pixels.

    Raises
    ------
    GeometryError
        The volume is in colour or has no place in the patient, or there are no sources.
    """
    import highdicom as hd

    volume = parametric.volume
    if volume.colour or not volume.spatial:
        raise GeometryError("A parametric map needs grey values with a place in the patient.")
    if not sources:
        raise GeometryError("A parametric map needs the images it was computed from.")
    placed = place_sources(
        volume.geometry, sources, preferred=[(uid, 0) for uid in parametric.source_instances]
    )
    placed.require_frame_of_reference()
    values = np.ascontiguousarray(volume.array, dtype=np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    name = parametric.name or (parametric.quantity.meaning if parametric.quantity else "Parametric map")
    described = authorship or _presented(parametric, name, sources)
    geometry = volume.geometry
    directions = geometry.directions
    _, rows, columns = geometry.spacing
    normal = np.cross(directions[:, 2], directions[:, 1])
    between = abs(float(geometry.affine[:3, 0] @ normal))
    corners = geometry.to_lps([[k, 0, 0] for k in range(geometry.shape[0])])
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=content_label(name),
        lut_explanation=name[:64],
        unit=parametric.unit,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=parametric.quantity,
    )
    try:
        made = hd.pm.ParametricMap(
            source_images=placed.surrogates(),
            pixel_array=values,
            **surrogate_series(),
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[
                hd.VOILUTTransformation(
                    window_center=[(low + high) / 2],
                    window_width=[max(high - low, 1e-6)],
                    voi_lut_function="LINEAR_EXACT",  # LINEAR takes 1 from the width
                )
            ],
            content_description=name[:64],
            content_label=content_label(described.label),
            pixel_measures=hd.PixelMeasuresSequence([rows, columns], between, between),
            plane_orientation=hd.PlaneOrientationSequence(
                "PATIENT", [float(value) for value in (*directions[:, 2], *directions[:, 1])]
            ),
            plane_positions=[hd.PlanePositionSequence("PATIENT", corner.tolist()) for corner in corners],
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise GeometryError(f"The parametric map cannot be written: {error}") from error
    dataset = Dataset()
    begin(dataset, PARAMETRIC_MAP, text(placed.headers[0], "Modality") or "OT", placed.headers[0], described)
    for element in made:
        if element.keyword not in dataset:
            dataset.add(element)
    placed.resolve(dataset)
    dataset.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy(parametric, placed.headers[0])]
    dataset.ContentCreatorName = described.creator
    _refer(dataset, parametric, sources)
    _ascend(dataset)
    return finish(dataset)


def _refer(dataset: Dataset, parametric: ParametricMap, sources: Sequence[Dataset]) -> None:
    """Refer to every image that the map names as its source, also where several lie on one slice."""
    (series,) = dataset.ReferencedSeriesSequence
    known = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    named = set(parametric.source_instances) - known
    series.ReferencedInstanceSequence += [
        reference(source) for source in sources if text(source, "SOPInstanceUID") in named
    ]


def _ascend(dataset: Dataset) -> None:
    """Put frames in the order of the volume's slices.

    Any order is right, since each frame states its position, but some readers (dcmqi) take the first for
    the lowest.
    """
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    frames = np.frombuffer(dataset.FloatPixelData, "<f4").reshape(len(groups), -1)
    places = np.array(
        [group.PlanePositionSequence[0].ImagePositionPatient for group in groups], dtype=np.float64
    )
    axes = np.array(
        dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    )
    order = np.argsort(
        places @ np.cross(axes[:3].astype(np.float64), axes[3:].astype(np.float64)), kind="stable"
    )
    dataset.PerFrameFunctionalGroupsSequence = [groups[at] for at in order]
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence, 1):
        group.FrameContentSequence[0].DimensionIndexValues = [number]
    dataset.FloatPixelData = frames[order].tobytes()


def _presented(parametric: ParametricMap, name: str, sources: Sequence[Dataset]) -> Authorship:
    before = parametric.origin
    if before is None:
        return Authorship(name[:64], next_series_number(sources, offset=300), label=content_label(name))
    described = Authorship(
        before.series_description or name[:64], max(before.series_number, 1), label=before.label or "MAP"
    )
    return replace(described, instance_number=before.instance_number + 1)
