"""What the page knows of the patient's other studies."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicomdock.viewer.features.series.state import SeriesRow


@dataclass(frozen=True)
class PriorRow:
    """Another study of the patient.

    Parameters
    ----------
    uid : Study Instance UID.
    name : its date and description.
    modalities : of its series.
    """

    uid: str
    name: str
    modalities: str


@dataclass
class PriorsState:
    """The patient's other studies in the archive.

    Parameters
    ----------
    priors : the latest first.
    prior_uid : the one whose series are listed; empty for none.
    prior_series : its series that can be shown beside the present one.
    """

    priors: list[PriorRow] = field(default_factory=list)
    prior_uid: str = ""
    prior_series: list[SeriesRow] = field(default_factory=list)
