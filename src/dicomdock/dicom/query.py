"""Query: what to search for, as QIDO-RS states it, both ways, and the local filter of foreign answers.

References
----------
PS3.18 §8.3.4, §10.6 (Search transaction), §F.2 (DICOM JSON model); PS3.4 §C.2.2.2 (attribute matching).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from dicomdock.dicom.criteria import Criterion, Universal, accepts, combined, normal, parse, within
from dicomdock.dicom.dictionary import keyword_of, tag_and_vr, vr_of
from dicomdock.dicom.json_model import DicomJson, text, texts, values
from dicomdock.dicom.uid import UID_KEYWORDS
from dicomdock.errors import InvalidInput

SearchLevel = Literal["studies", "series", "instances"]
SERIES_OVERVIEW = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyDescription",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "NumberOfSeriesRelatedInstances",
)
"""What a viewer shows of the series of a study and of whom they are, whoever is asked for them."""
COMBINED = {  # date -> its time: two ranges name one span together
    "StudyDate": "StudyTime",
    "SeriesDate": "SeriesTime",
    "AcquisitionDate": "AcquisitionTime",
    "ContentDate": "ContentTime",
    "PerformedProcedureStepStartDate": "PerformedProcedureStepStartTime",
    "PatientBirthDate": "PatientBirthTime",
}
_LISTED_DATE = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")  # as lists print dates
_PARAMETERS = frozenset({"includefield", "orderby", "limit", "offset", "fuzzymatching"})
_LOOKS_LIKE_ATTRIBUTE = re.compile(r"[A-Z]|[0-9A-Fa-f]{8}(\.|\Z)")


@dataclass(frozen=True)
class Query:
    """One search.

    Parameters
    ----------
    level : what one match is.
    match : attribute keyword (``PatientName``; ``Sequence.Attribute`` inside a sequence) -> value as QIDO
        writes it: a single value, a wildcard ``Do*``, a UID list ``1.2,1.3``, a range ``20200101-20201231``;
        dates also as lists print them, ``2020-01-01``.
        An empty value is universal matching: it selects everything and asks for the attribute.
    fields : keywords of further attributes wanted in the answers, or ``("all",)``.
    limit : at most so many matches in all; None for every one.
    offset : matches to pass over first.
    fuzzy : fuzzy matching of person names, where the source can.
    typed : person names are as people type them (``Schmidt, Hans``, ``hans schmidt``): each of their words
        somewhere in the name, without regard to order, case and accents. Never sent to a server in this form.
    order : keywords to sort by, the first one first; ``-StudyDate`` is descending. Matches without a value
        come last. A source that cannot sort so returns its own order and a warning; empty for its own order.
    """

    level: SearchLevel = "studies"
    match: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
    typed: bool = False
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.level not in UID_KEYWORDS:
            raise InvalidInput(f"A search is for studies, series or instances, not {self.level!r}.")
        if self.limit is not None and self.limit < 0:
            raise InvalidInput("A limit cannot be negative.")
        if self.offset < 0:
            raise InvalidInput("An offset cannot be negative.")
        if any(_LISTED_DATE.search(key) for key in self.match.values()):
            object.__setattr__(self, "match", {name: _date(name, key) for name, key in self.match.items()})

    @cached_property
    def criteria(self) -> Mapping[str, Criterion]:
        """What each matching key asks for, read once.

        Raises
        ------
        InvalidInput
            A key is unknown, or its value cannot be one of its VR.
        """
        return {
            keyword: parse(
                keyword, vr_of(keyword.rpartition(".")[2]), key, fuzzy=self.fuzzy, typed=self.typed
            )
            for keyword, key in self.match.items()
        }

    def to_params(self) -> list[tuple[str, str]]:
        """Write the query as URL parameters, by keyword; what is at its default is left out."""
        params = [(keyword, key) for keyword, key in self.match.items() if key]
        wanted = [
            keyword for keyword, key in self.match.items() if not key
        ]  # the same, and more servers know it
        params += [("includefield", name) for name in dict.fromkeys((*wanted, *self.fields))]
        if self.fuzzy:
            params.append(("fuzzymatching", "true"))
        if self.order:
            params.append(("orderby", ",".join(self.order)))
        if self.limit is not None:
            params.append(("limit", str(self.limit)))
        if self.offset:
            params.append(("offset", str(self.offset)))
        return params

    @classmethod
    def from_params(
        cls,
        level: SearchLevel,
        params: Iterable[tuple[str, str]],
        *,
        study: str | None = None,
        series: str | None = None,
    ) -> Query:
        """Read URL parameters, decoded already, with attributes by keyword or by tag.

        Parameters that are not attributes and not of QIDO-RS are passed over, as the standard wants it. A key
        that comes several times stands for any of its values. ``orderby``, an extension that several
        servers have, names attributes with commas between them, those in descending order behind a minus.

        Parameters
        ----------
        study, series : UIDs that the path names.

        Raises
        ------
        InvalidInput
            An attribute is unknown, or a number or truth value is not one.
        """
        match: dict[str, str] = {}
        fields: list[str] = []
        order: list[str] = []
        numbers: dict[str, int | None] = {"limit": None, "offset": None}
        fuzzy = False
        for name, value in params:
            if name == "includefield":
                fields += [_keywords(part) if part != "all" else part for part in value.split(",") if part]
            elif name == "orderby":
                order += [
                    _descending(part) + _keywords(part.lstrip("+-")) for part in value.split(",") if part
                ]
            elif name in numbers:
                numbers[name] = _count(name, value)
            elif name == "fuzzymatching":
                if value.lower() not in ("true", "false"):
                    raise InvalidInput(f"fuzzymatching is true or false, not {value[:80]!r}.")
                fuzzy = value.lower() == "true"
            elif _LOOKS_LIKE_ATTRIBUTE.match(name):
                _add(match, _keywords(name), value)
        if study is not None:
            match["StudyInstanceUID"] = study
        if series is not None:
            match["SeriesInstanceUID"] = series
        return cls(
            level,
            match,
            tuple(dict.fromkeys(fields)),
            numbers["limit"],
            numbers["offset"] or 0,
            fuzzy,
            order=tuple(dict.fromkeys(order)),
        )

    @staticmethod
    def passed_over(params: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """Return the names of the URL parameters that ``from_params`` does not read."""
        return tuple(
            dict.fromkeys(
                name
                for name, _ in params
                if name and name not in _PARAMETERS and not _LOOKS_LIKE_ATTRIBUTE.match(name)
            )
        )

    def matches(self, attributes: DicomJson, *, keys: Container[str] | None = None) -> bool:
        """Return whether a data set is a match, by the rules of PS3.4.

        An attribute that is absent counts as empty: only universal matching and ``""`` accept it.

        Parameters
        ----------
        attributes : in the DICOM JSON model.
        keys : look at these matching keys only; None for all. A caller that filters a foreign answer leaves
            out what that server is known to match by rules of its own.

        Raises
        ------
        InvalidInput
            A key is unknown, or its value cannot be one of its VR.
        """
        asked = {
            tuple(path.split(".")): criterion
            for path, criterion in self.criteria.items()
            if keys is None or path in keys
        }
        return _satisfies(attributes, asked)


def _satisfies(attributes: DicomJson, asked: Mapping[tuple[str, ...], Criterion]) -> bool:
    done = set()
    for date, time in COMBINED.items():
        if span := combined(asked.get((date,)), asked.get((time,))):
            day, hour = normal("DA", text(attributes, date)), normal("TM", text(attributes, time))
            if not within(day, hour, *span):
                return False
            done |= {(date,), (time,)}
    inside: dict[str, dict[tuple[str, ...], Criterion]] = {}
    for path, criterion in asked.items():
        if len(path) > 1:
            inside.setdefault(path[0], {})[path[1:]] = criterion
        elif path not in done and not accepts(criterion, vr_of(path[0]), texts(attributes, path[0])):
            return False
    for sequence, keys in inside.items():
        if all(isinstance(criterion, Universal) for criterion in keys.values()):
            continue
        items = [item for item in values(attributes, sequence) if isinstance(item, Mapping)] or [{}]
        if not any(_satisfies(item, keys) for item in items):
            return False
    return True


def _date(keyword: str, key: str) -> str:
    """Write the dates in a key as DICOM does, where they stand as lists print them: 2024-01-31."""
    is_date = _LISTED_DATE.search(key) is not None and vr_of(keyword.rpartition(".")[2]) == "DA"
    return _LISTED_DATE.sub(r"\1\2\3", key) if is_date else key


def _keywords(name: str) -> str:
    """Write ``00400275.00400009`` as ``RequestAttributesSequence.ScheduledProcedureStepID``."""
    return ".".join(keyword_of(tag_and_vr(part)[0]) for part in name.split("."))


def _descending(name: str) -> str:
    return "-" if name.startswith("-") else ""


def _add(match: dict[str, str], keyword: str, value: str) -> None:
    if not match.get(keyword):
        match[keyword] = value
    elif value:
        match[keyword] += ("," if vr_of(keyword.rpartition(".")[2]) == "UI" else "\\") + value


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise InvalidInput(f"{name} is a whole number from 0, not {value[:80]!r}.")
    return int(value)
