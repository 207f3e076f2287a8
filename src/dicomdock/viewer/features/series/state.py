"""What the page knows of the study and its series."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SeriesRow:
    """A row of the list of series.

    Parameters
    ----------
    uid : Series Instance UID.
    name, kind, modality : as in ``study.Series``.
    count : instances in the archive, and of how many.
    picture : address of its thumbnail; empty where there is none.
    """

    uid: str
    name: str
    kind: str
    modality: str
    count: str
    picture: str = ""


@dataclass
class SeriesState:
    """The study, and the series of it that is shown.

    Parameters
    ----------
    study_words : the study's description and date.
    series_list : its series.
    series_uid : Series Instance UID of the one that is shown.
    volumes : names of its volumes where it has several; ``volume_at`` is the chosen one.
    complete : all of the series has arrived.
    arrival_words : how much is here, while it arrives.
    remarks : what is unusual about it.
    empty_title, empty_words : shown where there is no picture.
    suv_type : SUV Type (0054,1006) that PET is shown in; empty for that of the images, else by body weight.
    kind_3d : it lies in the patient's space, so that it forms a volume.
    """

    study_words: str = ""
    series_list: list[SeriesRow] = field(default_factory=list)
    series_uid: str = ""
    volumes: list[str] = field(default_factory=list)
    volume_at: int = 0
    complete: bool = False
    arrival_words: str = ""
    remarks: list[str] = field(default_factory=list)
    empty_title: str = ""
    empty_words: str = ""
    suv_type: str = ""
    kind_3d: bool = True
