"""Volumes and segmentations of 200 x 512 x 512 voxels: read, written, and taken in from the command line."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from tests.builders import write
from tests.imaging.scans import scan

from benchmarks.rounds import process
from dicomdock import Archive, Resource, Segmentation, Settings

ROUNDS = 2
SHAPE = (200, 512, 512)
WRITE, READ, IMPORT = 4.0, 1.5, 5.0  # seconds, the goals


def section(folder: Path) -> str:
    """Measure, and give the table."""
    home = folder / "segments"
    made = scan(np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16))
    files = write(home / "ct", made)
    series = f"{made[0].study}/{made[0].series}"
    with Archive.open(Settings(home / "config", home / "archive", home / "state")) as archive:
        list(archive.import_paths(files))
        volume = archive.volume(series)
        array = labels()
        matrix = volume.geometry.ijk_to_ras
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), matrix), home / "labels.nii.gz")
        places: list[Resource] = []

        def save() -> None:
            places.append(Segmentation.from_array(array, volume, names=["liver", "tumor"]).save())

        program = shutil.which("dicomdock") or f"{sys.prefix}/bin/dicomdock"
        words = [program, "--home", str(home), "import", str(home / "labels.nii.gz"), "--segments-of", series]
        rows = {
            "SEG of two segments written": (timed(save), WRITE),
            "SEG of two segments read": (timed(lambda: archive.segmentation(places[-1])), READ),
            "label map imported, the whole process": (timed(lambda: process(words)), IMPORT),
            "series read as an array": (timed(lambda: archive.volume(series)), None),
        }
    lines = ["### Segmentations", "", "| what | median s (min - max) | goal s |", "|---|---|---|"]
    for name, (seconds, goal) in rows.items():
        shown = "" if goal is None else f"{goal:g}"
        missed = " **not reached**" if goal is not None and statistics.median(seconds) > goal else ""
        spread = f"{statistics.median(seconds):.3f} ({min(seconds):.3f} - {max(seconds):.3f})"
        lines.append(f"| {name} | {spread} | {shown}{missed} |")
    lines.append("")
    sys.stderr.write("\n".join(lines) + "\n")
    return "\n".join(lines)


def labels() -> np.ndarray:
    """Give two ellipsoids, as large as a liver and a tumour."""
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    array = np.zeros(SHAPE, np.uint8)
    array[((k - 100) / 80) ** 2 + ((j - 256) / 150) ** 2 + ((i - 200) / 120) ** 2 < 1] = 1
    array[((k - 120) / 50) ** 2 + ((j - 200) / 60) ** 2 + ((i - 380) / 80) ** 2 < 1] = 2
    return array


def timed(work: Callable[[], object]) -> list[float]:
    """Give the seconds of each round, after one that does not count."""
    seconds = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="dicomdock-segments-", dir="/var/tmp") as name:
        section(Path(name))
