"""The sidecar of an exported file: what NIfTI and NRRD cannot say of study, series and segments, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.imaging.segmentation import Segmentation
from dicomdock.imaging.terminology import RGB, Terminology, colour_for

MAX_BYTES = 4 << 20  # of a sidecar; a label map of thousands of segments stays far below


@dataclass(frozen=True)
class Described:
    """What a value of a label map stands for."""

    label: str
    terminology: Terminology
    colour: RGB


@dataclass(frozen=True)
class Sidecar:
    """What a file was exported from.

    Parameters
    ----------
    resource : the series, or the instance of a segmentation.
    images : the series that a segmentation was drawn on; where it is not known, None.
    name : in words; may be empty.
    units : of a volume's values; may be empty.
    segments : of a label map, by value.
    remarks : what the user should know of the file.
    timing : fields of a BIDS sidecar, in seconds: RepetitionTime, EchoTime, InversionTime, SliceTiming.
    """

    resource: Resource | None = None
    images: Resource | None = None
    name: str = ""
    units: str = ""
    segments: Mapping[int, Described] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    timing: Mapping[str, float | Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, segmentation: Segmentation, resource: Resource, images: Resource | None) -> Sidecar:
        """Describe a segmentation."""
        segments = {
            value: Described(one.label, one.terminology, one.colour)
            for value, one in enumerate(segmentation.segments, 1)
        }
        return cls(resource, images, segmentation.name, segments=segments)

    def to_json(self) -> str:
        """Return the sidecar as JSON."""
        document: dict[str, object] = {"resource": str(self.resource or "")}
        if self.name:
            document["name"] = self.name
        if self.units:
            document["units"] = self.units
        if self.images is not None:
            document["images"] = str(self.images)
        if self.segments:
            document["segments"] = {
                str(value): {
                    "label": one.label,
                    "terminology": one.terminology.to_slicer(),
                    "colour": list(one.colour),
                }
                for value, one in self.segments.items()
            }
        if self.remarks:
            document["remarks"] = [*self.remarks]
        document.update(self.timing)
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def read_sidecar(path: Path) -> Sidecar | None:
    """Read the sidecar of a file; None where there is none, or a JSON file of another program.

    Raises
    ------
    InvalidInput
        It is one of ours and damaged.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or "resource" not in document:
        return None
    try:
        return Sidecar(
            Resource.parse(document["resource"]),
            Resource.parse(document["images"]) if document.get("images") else None,
            str(document.get("name", "")),
            str(document.get("units", "")),
            {int(value): _described(int(value), one) for value, one in document.get("segments", {}).items()},
            _sentences(document.get("remarks")),
        )
    except (InvalidInput, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"The sidecar {path} is damaged ({error}); remove it, or export again.") from error


def _sentences(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _described(value: int, one: Mapping[str, object]) -> Described:
    label, entry, colour = str(one["label"]), one.get("terminology"), one.get("colour")
    terminology = Terminology.from_slicer(entry) if isinstance(entry, str) else Terminology.suggest(label)
    if not isinstance(colour, list):
        return Described(label, terminology, colour_for(terminology, value))
    red, green, blue = (int(part) & 255 for part in colour)
    return Described(label, terminology, (red, green, blue))
