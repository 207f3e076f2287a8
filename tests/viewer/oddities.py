"""Series that scanners, workstations and damaged disks make, made in code."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from tests.builders import composite
from tests.imaging.scans import oblique, put_pixels, scan

AXIAL = np.array([[0, 0, 1.0, -32], [0, 1.0, 0, -40], [2, 0, 0, 10], [0, 0, 0, 1.0]])
SAGITTAL = np.array([[2, 0, 0, -9], [0, 0, 1.0, -32], [0, -1.0, 0, 40], [0, 0, 0, 1.0]])
CORONAL = np.array([[0, 0, 1.0, -32], [2, 0, 0, -9], [0, -1.0, 0, 40], [0, 0, 0, 1.0]])


def ramp(slices: int = 5, dtype: str = "int16") -> np.ndarray:
    """Return slices whose every pixel shows its place, with a bright box at one side."""
    k, j, i = np.indices((slices, 80, 64))
    values = 100 + 40 * k + 2 * j + i
    values[:, 20:40, 36:56] += 300
    return values.astype(dtype)


def oddities(study: str) -> Mapping[str, list[Dataset]]:
    """Return series by what is odd about them; all windows but the colours' are computed."""

    def series(array: np.ndarray, affine: np.ndarray = AXIAL, **attributes: object) -> list[Dataset]:
        given = {"StudyInstanceUID": study, "SOPClassUID": MRImageStorage, "Modality": "MR", **attributes}
        return [one.dataset for one in scan(array, affine, **given)]

    found = {
        "axial": series(ramp()),
        "sagittal": series(ramp(), SAGITTAL),
        "coronal": series(ramp(), CORONAL),
        "one sagittal slice": series(ramp(1), SAGITTAL),
        "feet first": series(ramp(), AXIAL * [[1, 1, -1, 1], [1, 1, -1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]),
        "oblique": series(ramp(), oblique((0.25, 0.2, 0.1), (2, 1, 1), (-30, -20, 5))),
        "unsigned 16 bit": series((ramp().astype(np.uint32) * 60).astype(np.uint16)),
        "8 bit": series((ramp() // 4).astype(np.uint8)),
        "MONOCHROME1": series(ramp()),
        "rescaled by a part": series(ramp(), RescaleSlope="0.37", RescaleIntercept="-12.5"),
    }
    for dataset in found["MONOCHROME1"]:
        dataset.PhotometricInterpretation = "MONOCHROME1"
    found.update(colours(study))
    found.update(several(series))
    found.update(damaged(series))
    return found


def several(series: object) -> dict[str, list[Dataset]]:
    """Return series that hold more than one volume."""
    assert callable(series)
    uid, frame = generate_uid(), generate_uid()
    echoes = []
    for time in (10, 80):
        echoes += series(ramp() + 5 * time, SeriesInstanceUID=uid, FrameOfReferenceUID=frame, EchoTime=time)
    twice = series(ramp())
    again = series(
        ramp(),
        SeriesInstanceUID=twice[0].SeriesInstanceUID,
        FrameOfReferenceUID=twice[0].FrameOfReferenceUID,
    )
    irregular = [one for at, one in enumerate(series(ramp(9))) if at not in (2, 3, 5)]
    tilted = AXIAL.copy()
    tilted[1, 0] = 1.0  # one pixel down from slice to slice: straightened without a change of values
    return {
        "two echoes": echoes,
        "every slice twice": [*twice, *again],
        "irregular gaps": irregular,
        "tilted gantry": series(ramp(), tilted, SOPClassUID=CTImageStorage, Modality="CT"),
    }


def colours(study: str) -> dict[str, list[Dataset]]:
    """Return pictures in colour and stacks without a place in the patient."""
    rows, columns = np.indices((80, 100))
    picture = np.stack([rows * 3, columns * 2, 255 - rows * 2], axis=-1).astype(np.uint8)
    capture = _capture(study, SecondaryCaptureImageStorage, picture[None])
    planar = _capture(study, SecondaryCaptureImageStorage, picture[None])
    planar.PlanarConfiguration = 1
    planar.PixelData = picture.transpose(2, 0, 1).tobytes()
    loop = np.stack([np.roll(picture, 8 * at, axis=1) for at in range(12)])
    cine = _capture(study, UltrasoundMultiFrameImageStorage, loop, Modality="US", FrameTime="50")
    return {"secondary capture": [capture], "planes of colour": [planar], "ultrasound loop": [cine]}


def _capture(study: str, sop_class: str, pictures: np.ndarray, **attributes: object) -> Dataset:
    dataset = composite(sop_class, **{"StudyInstanceUID": study, "Modality": "OT", **attributes})
    put_pixels(dataset, pictures[..., 0] if len(pictures) > 1 else pictures[0, ..., 0])
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.PixelData = pictures.tobytes()
    return dataset


def damaged(series: object) -> dict[str, list[Dataset]]:
    """Return series of which nothing, or not all, can be read."""
    assert callable(series)
    short = series(ramp(1))
    short[0].PixelData = short[0].PixelData[:3000]
    bare = series(ramp(1))
    del bare[0].PixelData
    return {"too short": short, "without pixels": bare}
