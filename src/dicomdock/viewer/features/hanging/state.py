"""What the page knows of hanging rules."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RuleRow:
    """A rule.

    Parameters
    ----------
    modality, series : what it is for; 0 for any number of series.
    words : what it does.
    """

    modality: str
    series: int
    words: str


@dataclass
class HangingState:
    """How studies are opened.

    Parameters
    ----------
    hanging_modality, hanging_series : of the shown study; empty before it is known.
    rules : those that the user has saved.
    """

    hanging_modality: str = ""
    hanging_series: int = 0
    rules: list[RuleRow] = field(default_factory=list)
