"""Series of several volumes on one grid: time points, echoes, b-values; what is computed over all of them."""

from __future__ import annotations

from dicomdock.imaging.multivolume.axis import Axis, Members, members_of
from dicomdock.imaging.multivolume.curves import Sample, region_curve, voxel_curve
from dicomdock.imaging.multivolume.diffusion import apparent_diffusion, trace_weighted
from dicomdock.imaging.multivolume.projection import difference, maximum, mean

__all__ = [
    "Axis",
    "Members",
    "Sample",
    "apparent_diffusion",
    "difference",
    "maximum",
    "mean",
    "members_of",
    "region_curve",
    "trace_weighted",
    "voxel_curve",
]
