"""Resource: the path of a study, series, instance or frames, as PS3.18 writes it.

References
----------
PS3.18 §10.1.1 (DICOM web service resources); PS3.5 §9.1 (UID encoding rules).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

from dicomdock.dicom.json_model import DicomJson, text
from dicomdock.dicom.uid import UID_KEYWORDS, check_uid, shown
from dicomdock.errors import InvalidInput

Level = Literal["study", "series", "instance", "frames"]


@dataclass(frozen=True, slots=True)
class Resource:
    """A study, a series of it, an instance of that, or frames of that.

    Parameters
    ----------
    study, series, instance : UIDs; a lower one needs the ones above it.
    frames : frame numbers, 1-based, in the order wanted; needs an instance.

    Raises
    ------
    InvalidInput
        A UID is not one, or a level is skipped.
    """

    study: str
    series: str | None = None
    instance: str | None = None
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("study", "series", "instance"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check_uid(value, tolerant=True))
        if self.instance is not None and self.series is None:
            raise InvalidInput("An instance needs its series: STUDY/SERIES/INSTANCE.")
        if self.frames and self.instance is None:
            raise InvalidInput("Frames need their instance: STUDY/SERIES/INSTANCE/frames/1,2.")
        if any(number < 1 for number in self.frames):
            raise InvalidInput("Frame numbers start at 1.")

    @property
    def level(self) -> Level:
        """The lowest level that is named."""
        if self.frames:
            return "frames"
        if self.instance is not None:
            return "instance"
        return "study" if self.series is None else "series"

    @property
    def parent(self) -> Resource | None:
        """The resource one level up; None above a study."""
        if self.frames:
            return Resource(self.study, self.series, self.instance)
        if self.instance is not None:
            return Resource(self.study, self.series)
        return None if self.series is None else Resource(self.study)

    @property
    def path(self) -> str:
        """The path below a DICOMweb base URL, percent-encoded, with a leading slash."""
        path = f"/studies/{quote(self.study, safe='')}"
        if self.series is not None:
            path += f"/series/{quote(self.series, safe='')}"
        if self.instance is not None:
            path += f"/instances/{quote(self.instance, safe='')}"
        if self.frames:
            path += "/frames/" + ",".join(map(str, self.frames))
        return path

    def contains(self, other: Resource) -> bool:
        """Return whether ``other`` is this resource or lies below it."""
        mine = (self.study, self.series, self.instance)
        theirs = (other.study, other.series, other.instance)
        return all(a is None or a == b for a, b in zip(mine, theirs, strict=True))

    def __str__(self) -> str:
        return "/".join(uid for uid in (self.study, self.series, self.instance) if uid is not None)

    @classmethod
    def parse(cls, text: str) -> Resource:
        """Read ``STUDY[/SERIES[/INSTANCE]]`` or the path of a DICOMweb resource.

        Raises
        ------
        InvalidInput
            It is neither.
        """
        parts = [unquote(part) for part in text.strip().strip("/").split("/")]
        if parts[0] == "studies":
            names, values = parts[0::2], parts[1::2]
            wanted = ["studies", "series", "instances", "frames"][: len(names)]
            if names != wanted or len(names) != len(values):
                raise InvalidInput(f"{shown(text)} is not the path of a study, series, instance or frames.")
            frames: tuple[int, ...] = ()
            if len(values) == 4:
                try:
                    frames = tuple(int(number) for number in values[3].split(","))
                except ValueError:
                    raise InvalidInput(f"{shown(values[3])} is not a list of frame numbers.") from None
            return cls._of(values[:3], frames)
        if not 1 <= len(parts) <= 3:
            raise InvalidInput(f"{shown(text)} is not STUDY[/SERIES[/INSTANCE]].")
        return cls._of(parts)

    @classmethod
    def _of(cls, uids: list[str], frames: tuple[int, ...] = ()) -> Resource:
        study, series, instance = [*uids, None, None][:3]
        return cls(study or "", series, instance, frames)


def resource_in(attributes: DicomJson, within: Resource | None = None) -> Resource | None:
    """Return the resource that a data set identifies, or None; ``within`` fills in what it leaves out."""
    study, series, instance = (text(attributes, keyword) or None for keyword in UID_KEYWORDS["instances"])
    if within is not None:
        study, series, instance = within.study or study, within.series or series, within.instance or instance
    if study is None:
        return None
    try:
        return Resource(study, series, instance if series is not None else None)
    except InvalidInput:
        return None
