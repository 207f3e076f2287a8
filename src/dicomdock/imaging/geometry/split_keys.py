"""What distinguishes frames at the same position: image type, echo, diffusion, time.

References
----------
PS3.3 §C.7.6.16 (functional groups); private attributes as the vendors' conformance statements give them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from dicomdock.dicom.read_errors import READ_ERRORS
from dicomdock.imaging.attributes import number, numbers, private, text
from dicomdock.imaging.geometry.siemens import diffusion_of

NAMES = {
    "ImageType": "image type",
    "EchoTime": "echo time",
    "EchoNumbers": "echo",
    "InversionTime": "inversion time",
    "DiffusionBValue": "b",
    "DiffusionGradientOrientation": "gradient",
    "MetaboliteMapDescription": "metabolite",
    "KVP": "kV",
    "ConvolutionKernel": "kernel",
    "StackID": "stack",
    "TemporalPosition": "time point",
    "TriggerTime": "trigger time",
    "CardiacPhase": "cardiac phase",
    "AcquisitionNumber": "acquisition",
    "AcquisitionTime": "acquired at",
    "ContentTime": "made at",
    "Repetition": "repetition",
}
"""Split keys in the order in which they are tried, each with its name for the user."""

_NUMBERS = {
    "EchoTime": ("EffectiveEchoTime", "EchoTime"),
    "EchoNumbers": ("EchoNumbers",),
    "InversionTime": ("InversionTime",),
    "KVP": ("KVP",),
    "TemporalPosition": ("TemporalPositionIndex", "TemporalPositionIdentifier"),
    "TriggerTime": ("NominalCardiacTriggerDelayTime", "TriggerTime"),
    "CardiacPhase": ("NominalPercentageOfCardiacPhase",),
    "AcquisitionNumber": ("FrameAcquisitionNumber", "AcquisitionNumber"),
}
_TEXTS = {
    "MetaboliteMapDescription": ("MetaboliteMapDescription",),
    "ConvolutionKernel": ("ConvolutionKernel",),
    "StackID": ("StackID",),
    "AcquisitionTime": ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
    "ContentTime": ("ContentTime",),
}
_PRIVATE_B_VALUES = (
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x2001, "Philips Imaging DD 001", 0x03),
    (0x0043, "GEMS_PARM_01", 0x39),
)
_GE_B_VALUE_OFFSET = 1e9  # GE adds 10^9 to the first value of (0043,1039) in multi-direction series


def split_keys_of(places: Sequence[Dataset | None], image_type: str = "") -> dict[str, object]:
    """Collect the split_keys that any of the datasets states, the nearest first."""
    found: dict[str, object] = {}
    kind = image_type or next((stated for place in places if (stated := text(place, "ImageType"))), "")
    if kind:
        found["ImageType"] = kind
    for name, keywords in _NUMBERS.items():
        for keyword in keywords:
            value = next((n for place in places if (n := number(place, keyword)) is not None), None)
            if value is not None:
                found[name] = value
                break
    for name, keywords in _TEXTS.items():
        for keyword in keywords:
            words = next((t for place in places if (t := text(place, keyword))), "")
            if words:
                found[name] = words
                break
    b_value = next((b for place in places if place is not None and (b := _b_value(place)) is not None), None)
    if b_value is not None:
        found["DiffusionBValue"] = b_value
    gradient = next((g for place in places if (g := _gradient(place)) is not None), None)
    if gradient is not None:
        found["DiffusionGradientOrientation"] = tuple(round(value, 4) for value in gradient)
    return {name: found[name] for name in NAMES if name in found}


def _b_value(dataset: Dataset) -> float | None:
    value = number(dataset, "DiffusionBValue")
    if value is not None:
        return value
    for group, creator, element in _PRIVATE_B_VALUES:
        try:
            stored = private(dataset, group, creator, element)
            if isinstance(stored, bytes):  # an unknown VR after an implicit transfer
                stored = stored.decode("ascii").strip(" \0").split("\\")[0]
            value = float(stored if isinstance(stored, (str, float, int)) else stored[0])
        except (KeyError, ValueError, TypeError, IndexError, UnicodeDecodeError):
            continue
        return value % _GE_B_VALUE_OFFSET if group == 0x0043 else value
    return diffusion_of(dataset)[0]


def _gradient(place: Dataset | None) -> tuple[float, ...] | None:
    if place is None:
        return None
    nested = place.get("DiffusionGradientDirectionSequence")
    holder = nested[0] if nested else place
    return numbers(holder, "DiffusionGradientOrientation", 3) or _siemens_gradient(place)


def _siemens_gradient(place: Dataset) -> tuple[float, ...] | None:
    try:
        stored = private(place, 0x0019, "SIEMENS MR HEADER", 0x0E)
        found = tuple(float(value) for value in stored)
    except READ_ERRORS:
        found = ()
    return found if len(found) == 3 else diffusion_of(place)[1] or None


def words(name: str, value: object) -> str:
    """State a split key's value to the user, for example ``echo time 30`` or ``b 1000``."""
    if name == "ImageType":
        parts = str(value).split("\\")
        return " ".join(parts[2:] or parts)
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{NAMES[name]} {shown}"
