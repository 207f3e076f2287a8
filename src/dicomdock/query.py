"""Query: what to search for, as QIDO-RS states it, in both directions, and the matching rules of PS3.4.

References
----------
PS3.18 §8.3.4, §10.6 (Search transaction); PS3.4 §C.2.2.2 (attribute matching).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dicomdock.errors import InvalidInput

SearchLevel = Literal["studies", "series", "instances"]
UID_KEYWORD: Mapping[SearchLevel, str] = {
    "studies": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instances": "SOPInstanceUID",
}


@dataclass(frozen=True)
class Query:
    """One search.

    Parameters
    ----------
    level : what one match is.
    match : attribute keyword (``PatientName``; ``Sequence.Attribute`` inside a sequence) -> value as QIDO writes
        it: a single value, a wildcard ``Do*``, a UID list ``1.2,1.3``, a range ``20200101-20201231``.
        An empty value is universal matching: it selects everything and asks for the attribute.
    fields : keywords of further attributes wanted in the answers, or ``("all",)``.
    limit : at most so many matches in all; None for every one.
    offset : matches to pass over first.
    fuzzy : fuzzy matching of person names, where the source can.
    """

    level: SearchLevel = "studies"
    match: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False

    def __post_init__(self) -> None:
        if self.level not in UID_KEYWORD:
            raise InvalidInput(f"A search is for studies, series or instances, not {self.level!r}.")
        if self.limit is not None and self.limit < 0:
            raise InvalidInput("A limit cannot be negative.")
        if self.offset < 0:
            raise InvalidInput("An offset cannot be negative.")
