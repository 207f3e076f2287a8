"""Volumes that are exported into one four-dimensional file, and the timing of each."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from dicomdock.imaging.attributes import number, text
from dicomdock.imaging.formats.nifti import undirected
from dicomdock.imaging.geometry import VolumePlan

_TIME_POINTS = {
    "AcquisitionNumber",
    "AcquisitionTime",
    "CardiacPhase",
    "ContentTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "Repetition",
    "TemporalPosition",
    "TriggerTime",
}
"""What distinguishes the volumes of one four-dimensional file; each echo and kind of image has its own."""


def in_files(plans: Sequence[VolumePlan]) -> list[list[VolumePlan]]:
    """Group the volumes that are time points or diffusion directions of one grid, of each echo and kind."""
    runs: list[list[VolumePlan]] = []
    for plan in plans:
        run = next((run for run in runs if _continues(run[0], plan)), None)
        if run is None:
            runs.append([plan])
        else:
            run.append(plan)
    return runs


def _continues(first: VolumePlan, plan: VolumePlan) -> bool:
    return (
        shared_keys(first) == shared_keys(plan)
        and first.spatial
        and plan.spatial
        and not first.colour
        and not plan.colour
        and plan.frame_of_reference == first.frame_of_reference
        and plan.geometry.matches(first.geometry)
    )


def shared_keys(plan: VolumePlan) -> dict[str, object]:
    """Return the split keys that all volumes of one file share."""
    return {name: value for name, value in plan.phase.items() if name not in _TIME_POINTS}


def undirected_remarks(run: Sequence[VolumePlan]) -> tuple[str, ...]:
    """Return what the user should know of volumes that state no direction of their diffusion gradient."""
    count = undirected(run)
    if not count:
        return ()
    which = "1 volume states" if count == 1 else f"{count} volumes state"
    return (f"{which} a b-value and no gradient direction, which is 0 0 0 in the .bvec file.",)


def timing_of(plan: VolumePlan, headers: Sequence[Dataset]) -> dict[str, float | Sequence[float]]:
    """Return the timing of a volume in seconds, by BIDS' names."""
    header = next((one for one in headers if text(one, "SOPInstanceUID") == plan.lead.instance), None)
    found: dict[str, float | Sequence[float]] = {}
    for name in ("RepetitionTime", "EchoTime", "InversionTime"):
        value = number(header, name)
        if value is not None:
            found[name] = value / 1000
    delays = [plane.delay for plane in plan.planes if plane is not None and plane.delay is not None]
    if len(delays) == len(plan.planes):
        found["SliceTiming"] = [delay / 1000 for delay in delays]
    return found
