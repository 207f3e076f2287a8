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
    server : who has it, where it is not here; else empty.
    """

    uid: str
    name: str
    modalities: str
    server: str = ""


@dataclass
class PriorsState:
    """The patient's other studies, in the archive and on servers.

    Parameters
    ----------
    priors : those that are here, the latest first.
    far_priors : those that are on servers alone, likewise.
    far_words : what became of the search on servers; empty before one.
    far_busy : the servers are being asked.
    arriving : UIDs of studies that are being downloaded, with how far they are.
    known : there is a study whose patient has others, so that servers can be asked.
    prior_uid : the one whose series are listed; empty for none.
    prior_series : its series that can be shown beside the present one.
    """

    priors: list[PriorRow] = field(default_factory=list)
    far_priors: list[PriorRow] = field(default_factory=list)
    far_words: str = ""
    far_busy: bool = False
    arriving: dict[str, str] = field(default_factory=dict)
    known: bool = False
    prior_uid: str = ""
    prior_series: list[SeriesRow] = field(default_factory=list)
