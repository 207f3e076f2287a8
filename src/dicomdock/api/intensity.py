"""Rigid registration by intensity, in a process of its own that can be stopped at any time.

The process reads two volumes from a folder, reports how far it is, a number a line, and writes the matrix.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomdock.errors import GeometryError, MissingDependency
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.registration import inverted, require_rigid
from dicomdock.imaging.volume import Volume
from dicomdock.imaging.volume.pixels import valid

INSTALL = "install it with: pip install 'dicomdock[registration]'"
ITERATIONS = 200  # at each resolution, at most
BINS = 50  # of the joint histogram
SHARE = 0.2  # of the voxels that are compared
SEED = 1  # of what chooses them: the same images give the same result
LEAST = 16  # voxels along the shortest axis at a resolution


def register(
    fixed: Volume, moving: Volume, progress: Callable[[float], None] = lambda _: None
) -> npt.NDArray[np.float64]:
    """Return the rigid transform that makes two volumes alike: Mattes' mutual information, coarse to fine.

    The centres of both volumes lie over each other at first. Whatever ends this function ends the process.

    Parameters
    ----------
    fixed, moving : grey volumes, of any modalities.
    progress : is called with the share that is done, from 0 to 1.

    Returns
    -------
    4 x 4, takes points of ``moving`` to points of ``fixed``, in mm, LPS.

    Raises
    ------
    MissingDependency
        SimpleITK is not installed.
    GeometryError
        A volume is in colour or has no position in the patient, or they cannot be registered.
    """
    if importlib.util.find_spec("SimpleITK") is None:
        raise MissingDependency("What registers by intensity (SimpleITK)", INSTALL)
    with tempfile.TemporaryDirectory(prefix="dicomdock-") as folder:
        for name, volume in (("fixed", fixed), ("moving", moving)):
            if volume.colour or not volume.spatial:
                raise GeometryError("Only grey images with a position in the patient are registered.")
            _write(Path(folder) / f"{name}.npz", volume.straightened())
        command = [sys.executable, "-m", __name__, folder]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            try:
                assert process.stdout is not None and process.stderr is not None
                for line in process.stdout:
                    progress(min(max(float(line), 0.0), 1.0))
                words = process.stderr.read()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            why = words.strip().splitlines()[-1:] or ["its process ended by itself."]
            raise GeometryError(f"The volumes cannot be registered: {why[0]}")
        return require_rigid(np.load(Path(folder) / "matrix.npy"))


def _write(path: Path, volume: Volume) -> None:
    there = valid(volume.array, volume.padding)
    least = float(volume.array[there].min()) if there.any() else 0.0
    array = np.where(there, volume.array, least).astype(np.float32)
    np.savez(path, array=array, affine=volume.geometry.affine)


def _image(itk: Any, path: Path) -> Any:
    with np.load(path) as stored:
        array, affine = stored["array"], stored["affine"]
    geometry = VolumeGeometry(array.shape, affine)
    image = itk.GetImageFromArray(array)
    image.SetSpacing([float(one) for one in geometry.spacing[::-1]])
    image.SetOrigin([float(one) for one in geometry.origin])
    image.SetDirection([float(one) for one in geometry.directions[:, ::-1].ravel()])
    return image


def main(folder: Path) -> None:
    """Register the volumes of a folder; the process's whole work."""
    itk: Any = importlib.import_module("SimpleITK")
    fixed, moving = (_image(itk, folder / f"{name}.npz") for name in ("fixed", "moving"))
    shortest = min(*fixed.GetSize(), *moving.GetSize())
    factors = [one for one in (4, 2, 1) if one == 1 or shortest // one >= LEAST]
    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.REGULAR if shortest < LEAST else method.RANDOM)
    method.SetMetricSamplingPercentage(SHARE, SEED)
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([one / 2 if one > 1 else 0 for one in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(
        itk.CenteredTransformInitializer(
            fixed, moving, itk.Euler3DTransform(), itk.CenteredTransformInitializerFilter.GEOMETRY
        ),
        inPlace=True,
    )

    def report() -> None:
        level = method.GetCurrentLevel() + (method.GetOptimizerIteration() + 1) / ITERATIONS
        sys.stdout.write(f"{level / len(factors):.4f}\n")
        sys.stdout.flush()

    method.AddCommand(itk.sitkIterationEvent, report)
    found = method.Execute(fixed, moving)
    there = np.eye(4)  # from points of the fixed images to the moving ones
    there[:3, 3] = found.TransformPoint((0.0, 0.0, 0.0))
    for axis in range(3):
        unit = [float(one == axis) for one in range(3)]
        there[:3, axis] = np.array(found.TransformPoint(unit)) - there[:3, 3]
    np.save(folder / "matrix.npy", inverted(there))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
