"""What a de-identification did, without any of the values that it removed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from dicomdock.deidentify.profile import Profile
from dicomdock.deidentify.tables import tables
from dicomdock.dicom.json_model import JsonValue

Action = Literal["removed", "emptied", "replaced", "cleaned", "remapped", "shifted", "kept"]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an attribute.

    Parameters
    ----------
    path : keywords from the top level down, ``SourceImageSequence/ReferencedSOPInstanceUID``; private
        attributes by their tag.
    action : ``kept`` names what the profile would have removed without an option.
    """

    path: str
    action: Action


@dataclass
class Report:
    """What became of the instances of an export or push, attribute by attribute.

    Parameters
    ----------
    profile : what was asked for.
    """

    profile: Profile
    instances: int = 0
    blanked: int = 0
    held_back: list[tuple[str, str]] = field(default_factory=list)
    _changes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, changes: tuple[Change, ...], *, blanked: bool) -> None:
        """Count an instance that was de-identified."""
        self.instances += 1
        self.blanked += blanked
        for change in set(changes):
            self._changes.setdefault(change.action, Counter())[change.path] += 1

    def hold_back(self, resource: str, reason: str) -> None:
        """Note an instance that does not leave, and why."""
        self.held_back.append((resource, reason))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the report as the command line's contract has it: counts of instances by attribute."""
        return {
            "profile": str(self.profile),
            "edition": tables().edition,
            "instances": self.instances,
            "blanked": self.blanked,
            "attributes": {
                action: {path: counts[path] for path in sorted(counts)}
                for action, counts in sorted(self._changes.items())
            },
            "held_back": [{"resource": one, "reason": reason} for one, reason in self.held_back],
        }
