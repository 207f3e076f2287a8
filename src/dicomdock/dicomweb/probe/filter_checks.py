"""The checks of a probe that search by keys: which of them a server applies, in which forms.

References
----------
PS3.18 §8.3.4 (query parameters), §10.6 (Search).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomdock.dicom import json_model
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicomweb.key_checks import SAMPLE, KeyChecks, Kind
from dicomdock.dicomweb.probe.report import Findings
from dicomdock.dicomweb.probe.searches import SAFE_LIMIT, ProbeSearches, study_uid
from dicomdock.dicomweb.search import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS
from dicomdock.dicomweb.session import REFUSED
from dicomdock.sources import DicomJson

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session

# What no study has: Patient ID and name of nobody, days before any image, a modality that does not exist.
NOTHING: Final = {
    "PatientID": "dicomdocknobody",
    "StudyDate": "17000101-17000102",
    "PatientName": "dicomdocknobody",
    "ModalitiesInStudy": "ZZ",
}
# The kinds of keys that people search by; each is tried with a value that the first page has shown.
KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "PatientID": ("single",),
    "StudyDate": ("single", "range", "open range"),
    "StudyTime": ("range",),
    "PatientName": ("name",),
}
_APPLIED: Final = {
    True: "are applied as asked",
    False: "are not applied as asked; dicomdock does it itself",
    None: "could not be tried",
}


@dataclass
class FilterChecks:
    """The checks of matching keys, each using what was found before.

    Parameters
    ----------
    session : the connection to the server; what is found is learned there.
    searches : its test searches.
    findings : receives what was found.
    """

    session: Session
    searches: ProbeSearches
    findings: Findings

    def by_keys(self, row: DicomJson) -> None:
        """Search by keys that must find nothing, and by keys that must find the known study."""
        uid = study_uid(row)
        outcomes = {keyword: self.outcome(keyword, value) for keyword, value in NOTHING.items()}
        by_tag = outcomes["PatientID"] == "ignored" and (
            self.outcome(tag_of("PatientID"), NOTHING["PatientID"]) == "honoured"
        )
        if by_tag:
            self.session.learn(key_style="tag")
            self.findings.add("keys", False, "Attributes are understood by tag only.")
            outcomes = {keyword: self.outcome(tag_of(keyword), value) for keyword, value in NOTHING.items()}
        ignored = [keyword for keyword, outcome in outcomes.items() if outcome == "ignored"]
        refused = [keyword for keyword, outcome in outcomes.items() if outcome == "refused"]
        for names, outcome in ((ignored, "ignored"), (refused, "refused")):
            if names:
                sentence = f"Filters on {_listed(names)} are {outcome}; dicomdock filters the answers itself."
                self.findings.add("filters", False, sentence)
        if not ignored and not refused:
            self.findings.add("filters", True, f"Filters on {_listed(NOTHING)} are honoured.")
        if len(ignored) == len(NOTHING):
            self.session.learn(match_keys=("StudyInstanceUID",), wildcard=False)
            return
        if not ignored and not self.finds("StudyInstanceUID", uid) and self.finds("0020000D", uid):
            self.session.learn(key_style="tag")
            self.findings.add("keys", False, "Attributes are understood by tag only.")
        self.wildcards(row)

    def by_kinds(self) -> None:
        """Search for what the first page showed, by a key of every kind."""
        answer = self.searches.ask("/studies", [("limit", str(SAMPLE))])
        rows = answer.rows if answer is not None else []
        works: dict[tuple[str, Kind], bool | None] = {
            (keyword, kind): self.session.key_checks.check("studies", keyword, kind, rows, self.rows_of)
            for keyword, kinds in KINDS.items()
            for kind in kinds
            if kind != "list"
        }
        misread = {keyword for (keyword, _), found in works.items() if found is False}
        for topic, keyword, name in (
            ("ranges", "StudyDate", "Ranges of dates"),
            ("times", "StudyTime", "Ranges of times"),
            ("names", "PatientName", "Names"),
        ):
            found = [works[keyword, kind] for kind in KINDS[keyword]]
            applied = False if False in found else True if True in found else None
            self.findings.add(topic, applied, f"{name} {_APPLIED[applied]}.")
        if misread and self.session.dialect.name == "standard":
            known = self.session.dialect.match_keys or sorted(STUDY_KEYS | SERIES_KEYS | INSTANCE_KEYS)
            self.session.learn(match_keys=tuple(key for key in known if key not in misread))
        self.lists(rows)

    def lists(self, rows: Sequence[DicomJson]) -> None:
        """Search by a list of values, in each of the ways to write it."""
        checks = self.session.key_checks
        uids = checks.check("studies", "StudyInstanceUID", "list", rows, self.rows_of)
        values = checks.check("studies", "ModalitiesInStudy", "list", rows, self.rows_of)
        if values is False:
            commas = KeyChecks().check(
                "studies",
                "ModalitiesInStudy",
                "list",
                rows,
                lambda keyword, value: self.rows_of(keyword, value.replace("\\", ",")),
            )
            self.session.learn(value_lists="comma" if commas else "none")
            values = bool(commas)
        elif values is True and self.session.dialect.name == "standard":
            self.session.learn(value_lists="backslash")
        if uids is not None:
            self.session.learn(uid_lists=uids)
        self.findings.add("uid-lists", uids, f"Lists of UIDs {_APPLIED[uids]}.")
        self.findings.add("lists", values, f"Lists of values {_APPLIED[values]}.")

    def rows_of(self, keyword: str, value: str) -> list[DicomJson]:
        """Return what a search by one key finds on its first page."""
        answer = self.searches.ask("/studies", [(self.key(keyword), value), ("limit", str(SAFE_LIMIT))])
        return answer.rows if answer is not None else []

    def outcome(self, key: str, value: str) -> str:
        """Return what becomes of a key that nothing matches: ``honoured``, ``ignored`` or ``refused``."""
        answer = self.searches.ask("/studies", [(key, value), ("limit", "2")])
        if answer is None or answer.status in REFUSED:
            return "refused"
        return "ignored" if answer.rows else "honoured"

    def key(self, keyword: str) -> str:
        """Write a matching key as the server understands it."""
        return tag_of(keyword) if self.session.dialect.key_style == "tag" else keyword

    def finds(self, key: str, value: str) -> bool:
        """Return whether a search finds anything."""
        answer = self.searches.ask("/studies", [(key, value), ("limit", "2")])
        return answer is not None and bool(answer.rows)

    def wildcards(self, row: DicomJson) -> None:
        """Search the known patient by the start of the ID, and by name with fuzzy matching."""
        patient = json_model.text(row, "00100020")
        if len(patient) < 2 or not patient.isascii() or set(patient) & set("*?\\,&#%"):
            return
        answer = self.searches.ask("/studies", [(self.key("PatientID"), f"{patient[:-1]}*"), ("limit", "1")])
        works = answer is not None and bool(answer.rows)
        if not works:
            self.session.learn(wildcard=False)
        elif not self.finds(self.key("PatientID"), f"{patient[:-1]}?"):
            self.session.learn(question_mark=False)
            self.findings.add(
                "question-mark", False, "The wildcard ? is taken literally; dicomdock filters itself."
            )
        self.findings.add(
            "wildcard",
            works,
            "Wildcards work." if works else "Wildcards do not work; dicomdock filters the answers itself.",
        )
        name = json_model.text(row, "00100010")
        if name and self.session.dialect.fuzzy:
            query = [(self.key("PatientName"), name), ("fuzzymatching", "true"), ("limit", "1")]
            answer = self.searches.ask("/studies", query)
            fuzzy = answer is not None and answer.status < 300 and not answer.warnings
            if not fuzzy:
                self.session.learn(fuzzy=False)
            self.findings.add(
                "fuzzy",
                None if fuzzy else False,
                "Fuzzy matching is accepted." if fuzzy else "There is no fuzzy matching.",
            )


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
