"""Which series are referred to and missing is found by one look at each of them."""

from __future__ import annotations

import numpy as np
import pytest

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.segmentation import Mask, Segment, Segmentation, segmentation_to_dicom
from dicomdock.sources import Part
from dicomdock.transfer import missing_sources
from tests.imaging.scans import grid, headers, scan

SHAPE = (4, 8, 8)


@pytest.mark.parametrize("here", [True, False])
def test_all_objects_of_a_series_take_one_look_at_its_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    images = scan(np.zeros(SHAPE, np.int16), np.eye(4))
    drawn = Segmentation(grid(SHAPE, np.eye(4)), (Segment("Box", Mask.of(np.ones(SHAPE, bool))),))
    made = [to_bytes(segmentation_to_dicom(drawn, headers(images))) for _ in range(3)]
    looked: list[Resource] = []
    with Archive.open(settings) as archive:
        with archive.writer() as writer:
            for data in [*made, *(one.data for one in images if here)]:
                writer.add(Part("application/dicom", lambda data=data: iter([data]), length=len(data)))
        present = archive.present
        monkeypatch.setattr(archive, "present", lambda series: looked.append(series) or present(series))
        missing = missing_sources(archive, Resource(images[0].study))
    series = Resource(images[0].study, images[0].series)
    assert [one.series for one in missing] == ([] if here else [series])
    assert looked == [series]
