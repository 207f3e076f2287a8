"""Selection: the studies and series that an action is asked to work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting
from dicomdock.dock.services.studies import Found


@dataclass(frozen=True)
class Selection:
    """What an action is asked to work on.

    Parameters
    ----------
    studies : the selected studies, or the studies of the selected series, by UID.
    series : the selected series by UID, each with its study's UID; empty when whole studies are meant.
    """

    studies: Mapping[str, Found] = field(default_factory=dict)
    series: Mapping[str, tuple[str, Found]] = field(default_factory=dict)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What is meant, as resources."""
        if self.series:
            return tuple(Resource(study, uid) for uid, (study, _) in self.series.items())
        return tuple(Resource(uid) for uid in self.studies)

    @property
    def items(self) -> Sequence[Found]:
        """What is meant, as found."""
        return [item for _, item in self.series.values()] if self.series else list(self.studies.values())

    @property
    def words(self) -> str:
        """How much is meant: ``3 studies, 1,204 images``."""
        if not self.studies:
            return ""
        what = (
            formatting.counted(len(self.series), "series", "series")
            if self.series
            else formatting.counted(len(self.studies), "study", "studies")
        )
        counts = [item.instances for item in self.items]
        known = [count for count in counts if count is not None]
        if not known:
            return what
        least = "at least " if len(known) < len(counts) else ""
        return f"{what}, {least}{formatting.counted(sum(known), 'image')}"

    def servers(self) -> tuple[str, ...]:
        """The servers that have some of it."""
        return tuple(dict.fromkeys(name for item in self.items for name in item.servers))

    def on(self, place: str) -> tuple[Resource, ...]:
        """What of it is in one place."""
        if self.series:
            return tuple(
                Resource(study, uid) for uid, (study, item) in self.series.items() if place in item.counts
            )
        return tuple(Resource(uid) for uid, item in self.studies.items() if place in item.counts)
