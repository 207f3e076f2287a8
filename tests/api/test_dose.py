"""Dose-volume histograms of structure sets of the archive, by the API and the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from dicomdock import Archive, Resource, Segmentation
from dicomdock.errors import GeometryError, InvalidInput, NotInArchive
from tests.builders import Made, encode, write
from tests.imaging.scans import scan
from tests.imaging.test_dose import FRAME, GRID, box, dose_of, points


def plan(archive: Archive, tmp_path: Path) -> tuple[Resource, Resource]:
    """Import a CT with structures, and a dose; the dose and the structure set."""
    made = scan(np.zeros(GRID.shape, np.int16), GRID.affine, FrameOfReferenceUID=FRAME)
    dataset = dose_of(lambda x, y, z: 60 - 0.1 * (x**2 + y**2 + z**2), StudyInstanceUID=made[0].study)
    archive.import_paths(write(tmp_path / "made", [*made, Made(dataset, encode(dataset))]))
    masks = np.stack([box(), np.linalg.norm(points(), axis=-1) <= 15]).astype(np.uint8)
    volume = archive.volume(f"{made[0].study}/{made[0].series}")
    drawn = Segmentation.from_array(masks, volume, names=["box", "sphere"]).save(kind="STRUCTURES")
    return Resource(made[0].study, dataset.SeriesInstanceUID), drawn


WITNESS = (("box", 1.994, 54.13, 59.69, 54.98, 59.24), ("sphere", 14.162, 45.96, 59.69, 45.62, 58.04))


@pytest.mark.slow
def test_structures_have_the_dose_of_another_program(archive: Archive, tmp_path: Path) -> None:
    """The numbers are those of dicompyler-core 0.5.6 for the same files, interpolated to 0.3125 mm."""
    resource, drawn = plan(archive, tmp_path)
    found = archive.dose(resource).histograms(archive.segmentation(drawn))
    assert not found.remarks
    for row, (label, volume, mean, maximum, d50, d2) in zip(found.rows(), WITNESS, strict=True):
        assert (row["structure"], row["dose_unit"]) == (label, "Gy")
        assert row["volume_ml"] == pytest.approx(volume, rel=0.01)
        numbers = (row["mean"], row["maximum"], row["d50"], row["d2"])
        assert numbers == pytest.approx((mean, maximum, d50, d2), abs=0.55)
    # The formulas, less what linear interpolation loses of a parabola: 0.31 Gy in the mean.
    assert [row["mean"] for row in found.rows()] == pytest.approx([54.61, 46.19], abs=0.06)


@pytest.mark.slow
def test_histograms_as_csv(archive: Archive, tmp_path: Path) -> None:
    resource, drawn = plan(archive, tmp_path)
    found = archive.dose(resource).histograms(archive.segmentation(drawn), bin_width=5)
    table = tmp_path / "dvh.csv"
    found.to_csv(table)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    first = rows[0]
    assert (first["structure"], first["dose"], first["dose_unit"]) == ("box", "0", "Gy")
    assert (float(first["volume_ml"]), float(first["volume_percent"])) == pytest.approx((2, 100))
    assert {one["structure"] for one in rows} == {"box", "sphere"}
    with pytest.raises(InvalidInput, match="exists already"):
        found.to_csv(table)
    with pytest.raises(GeometryError, match="not an RT Dose"):
        archive.dose(drawn)
    with pytest.raises(NotInArchive):
        archive.dose(Resource(resource.study, "1.2.3"))
