"""Finding: what one check of ``doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dicomdock.sources import JsonValue

Status = Literal["ok", "missing", "failed", "unknown"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check : what was looked at.
    status : ``ok``; ``missing`` for what is optional and not there; ``failed`` for what needs a repair;
        ``unknown`` for what the check could not find out.
    detail : what was found, a sentence or a part of one.
    remedy : what to do about it; empty when nothing need be done.
    """

    check: str
    status: Status
    detail: str
    remedy: str = ""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the finding as the command line shows it."""
        return {"check": self.check, "status": self.status, "detail": self.detail, "remedy": self.remedy}
