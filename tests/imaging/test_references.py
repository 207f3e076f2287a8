"""What an object is and what it refers to, before it is opened."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicomdock.dicom.sop_classes import kind_of
from dicomdock.imaging.geometry import split_series
from dicomdock.imaging.key_objects import OF_INTEREST, KeyObject, KeyObjects, key_objects_to_dicom
from dicomdock.imaging.measurements import Report, distance, report_to_dicom
from dicomdock.imaging.parametric import ParametricMap, parametric_map_to_dicom
from dicomdock.imaging.presentation_state import Frame, PresentationState, presentation_state_to_dicom
from dicomdock.imaging.references import references_of
from dicomdock.imaging.rtstruct import structures_to_dicom
from dicomdock.imaging.segmentation import Segmentation, segmentation_to_dicom
from dicomdock.imaging.volume import Volume
from tests.conftest import shared_data
from tests.imaging.scans import headers, scan

SHAPE = (3, 4, 5)


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("2", "image"),
        ("4.1", "image"),
        ("481.2", "image"),
        ("481.5", "other"),
        ("66.1", "other"),
        ("88.33", "report"),
        ("88.59", "key images"),
        ("104.3", "document"),
        ("11.1", "presentation"),
        ("9.1.1", "other"),
        ("77.1.6", "image"),
    ],
)
def test_kinds_by_class(sop_class: str, kind: str) -> None:
    assert kind_of(f"1.2.840.10008.5.1.4.1.1.{sop_class}") == kind
    assert kind_of("1.2.840.10008.1.1") == "other"


@pytest.mark.slow
def test_everything_we_make_names_its_series() -> None:
    instances = scan(np.zeros(SHAPE, np.int16))
    sources = headers(instances)
    geometry = split_series(sources)[0].geometry
    drawn = Segmentation.from_array(np.ones(SHAPE, np.uint8), geometry)
    made = {
        "segmentation": segmentation_to_dicom(drawn, sources),
        "structures": structures_to_dicom(drawn, sources),
        "report": report_to_dicom(Report((distance("d", (0, 0, 0), (1, 1, 1)),)), sources),
        "key images": key_objects_to_dicom(
            KeyObjects(OF_INTEREST, tuple(KeyObject(one.instance) for one in instances)), sources
        ),
        "presentation": presentation_state_to_dicom(
            PresentationState(tuple(Frame(one.instance) for one in instances)), sources
        ),
        "parametric map": parametric_map_to_dicom(ParametricMap(Volume(np.ones(SHAPE), geometry)), sources),
    }
    due = {instances[0].series: {one.instance for one in instances}}
    for kind, dataset in made.items():
        assert kind_of(str(dataset.SOPClassUID)) == kind
        assert {series: set(named) for series, named in references_of(dataset).items()} == due
    assert references_of(sources[0]) == {}


def test_headers_as_a_server_describes_them_are_enough_to_plan() -> None:
    sources = headers(scan(np.zeros(SHAPE, np.int16), RescaleSlope="1", RescaleIntercept="-1024"))
    described = [Dataset.from_json(source.to_json_dict()) for source in sources]
    (plan,) = split_series(described)
    assert plan.geometry.matches(split_series(sources)[0].geometry)
    assert plan.dtype == np.int16


def test_real_objects() -> None:
    folder = shared_data("zoo")
    structures = pydicom.dcmread(folder / "rtstruct" / "mock_data" / "rt.dcm")
    (series,) = references_of(structures)
    assert len(references_of(structures)[series]) == 2
    report = pydicom.dcmread(folder / "seg-sr-pm" / "sr-example" / "sr.dcm")
    assert len(references_of(report)) == 3
