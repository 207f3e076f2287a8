"""The checks of a probe that search: what each asks, what its answer means, and its finding.

References
----------
PS3.18 §8.3.4 (query parameters), §10.6 (Search).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dicomdock.config import dialects
from dicomdock.config.dialects import Dialect
from dicomdock.dicom import json_model
from dicomdock.dicom.dictionary import tag_of
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.dicomweb import search
from dicomdock.dicomweb.key_checks import SAMPLE, KeyChecks, Kind
from dicomdock.dicomweb.probe.report import Findings
from dicomdock.dicomweb.search import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS
from dicomdock.dicomweb.search_request import warnings_of
from dicomdock.dicomweb.session import JSON, REFUSED, read_json
from dicomdock.errors import DicomdockError, TransactionError, WireError
from dicomdock.sources import DicomJson
from dicomdock.web.media_type import MediaType

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.dicomweb.session import Session

# What no study has: Patient ID and name of nobody, days before any image, a modality that does not exist.
NOTHING: Final = {
    "PatientID": "dicomdocknobody",
    "StudyDate": "17000101-17000102",
    "PatientName": "dicomdocknobody",
    "ModalitiesInStudy": "ZZ",
}
SAFE_LIMIT: Final = 100  # studies; what every known server gives at once
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
ROUND: Final = 50  # a page of so many, or of a multiple, looks like a cap
SHOWN: Final = ("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")
# Answers that are findings; a refused login and a server that fails or is busy end the probe.
TELLING: Final = frozenset(range(400, 600)) - {401, 403, 429, 500, 502, 503, 504}


@dataclass
class _Answer:
    status: int
    rows: list[DicomJson]
    total: str = ""
    warnings: tuple[str, ...] = ()


@dataclass
class SearchChecks:
    """The checks of searches, each using what was found before.

    Parameters
    ----------
    profile : the server.
    session : its connection; what is found is learned there.
    findings : receives what was found.
    counts : series and instances of the studies that were listed, where the server counts them.
    """

    profile: ServerProfile
    session: Session
    findings: Findings
    counts: dict[Resource, tuple[int, int]] = field(default_factory=dict)

    def run(self) -> Resource | None:
        """Run every check; errors of the first search end the probe, later ones are findings.

        Returns
        -------
        An instance to be retrieved; None where the server shows none.
        """
        first = self.first_search()
        self.recognise()
        study = next((one for row in first.rows if (one := resource_in(row))), None)
        if study is None:
            self.findings.add(
                "data", None, "The server shows no study to this login, so most could not be tried."
            )
            self.levels(None)
            return None
        self.findings.add("data", True, "The server shows studies to this login.")
        self.count(first.rows)
        self.character_set(first.rows[0])
        self.paging(first)
        self.filters(first.rows[0])
        self.kinds()
        self.included()
        self.levels(study)
        return self.below(study)

    def first_search(self) -> _Answer:
        """Search one study; an error of this request ends the probe."""
        response = self.session.http.request(
            "GET",
            self.session.address("search", "/studies"),
            query=[("limit", "1")],
            accept=JSON,
            gzip=True,
            allow=TELLING - {404},
            what="the search for studies",
        )
        status, label = response.status, MediaType.parse(response.content_type).essence
        if status >= 300:
            response.discard()
            raise TransactionError(
                f"{self.profile.name} answered {status} to a search for studies; "
                f"is {self.profile.url} its base URL?",
                status=status,
                url=response.url,
            )
        answer = _Answer(
            status, read_json(response, "the search for studies"), response.headers.get("X-Total-Count", "")
        )
        self.findings.add("reachable", True, f"{self.profile.url} answers.")
        self.findings.add("login", True, f"The login is accepted ({self.profile.login}).")
        self.findings.add("search", True, "Studies can be searched.")
        if answer.rows and label != JSON:
            self.findings.add(
                "label",
                False,
                f"Answers are labelled {label or 'not at all'} instead of {JSON}; that does not matter.",
            )
        if answer.total:
            self.findings.add("total", True, "The number of all matches is reported.")
        return answer

    def recognise(self) -> None:
        """Choose the built-in dialect to start from."""
        found = False
        with (
            contextlib.suppress(DicomdockError, ValueError),
            self.session.http.request(
                "GET", "/info", accept="application/json", allow=TELLING, what="its description"
            ) as answer,
        ):
            found = answer.status == 200 and "DicomWebRoot" in json.loads(answer.read(1 << 20))
        chosen = dialects.choose(
            self.profile.url, dialects.Facts(orthanc=found, kheops=self.profile.login.kind == "kheops")
        )
        if chosen is dialects.STANDARD and self.profile.dialect.name != "standard":
            chosen = dialects.BUILT_IN.get(self.profile.dialect.name, self.profile.dialect)
        self.session.dialect = chosen
        known = (
            "PS3.18, with what was found"
            if chosen is dialects.STANDARD
            else f"the built-in dialect {chosen.name!r}"
        )
        self.findings.add("dialect", None, f"dicomdock will follow {known}.")

    def ask(self, path: str, query: Sequence[tuple[str, str]]) -> _Answer | None:
        """Search; None where the server refuses or answers with something else."""
        try:
            response = self.session.http.request(
                "GET",
                self.session.address("search", path),
                query=query,
                accept=JSON,
                gzip=True,
                allow=TELLING,
                what="a test search",
            )
            if not 200 <= response.status < 300:
                response.discard()
                return _Answer(response.status, [])
            warnings = warnings_of(response.warning, self.profile.name)
            rows = read_json(response, "a test search")
            if path == "/studies":
                self.count(rows)
            return _Answer(response.status, rows, warnings=warnings)
        except (TransactionError, WireError):
            return None

    def character_set(self, row: DicomJson) -> None:
        """Check the declared character set; DICOM JSON is UTF-8 whatever it is."""
        declared = json_model.text(row, "00080005")
        if declared in ("", "ISO_IR 192", "ISO_IR 6"):
            self.findings.add("character-set", True, "Answers are in Unicode.")
        else:
            sentence = (
                f"Answers declare the character set {declared}, although JSON is Unicode; they are read so."
            )
            self.findings.add("character-set", False, sentence)

    def cap(self) -> None:
        """Request a page of the usual length, and check its length."""
        asked = Dialect().page_limit["studies"]
        answer = self.ask("/studies", [("limit", str(asked))])
        if answer is None or answer.status >= 400:
            self.session.learn(page_limit={**self.session.dialect.page_limit, "studies": SAFE_LIMIT})
            self.findings.add(
                "cap", False, f"{asked} studies at once are refused; {SAFE_LIMIT} are asked for."
            )
            return
        count = len(answer.rows)
        if count >= asked or count % ROUND or not count:
            self.findings.add("cap", True, f"{asked} studies can be asked for at once.")
            return
        further = self.ask("/studies", [("limit", "1"), ("offset", str(count))])
        if further is not None and further.rows and self.session.dialect.offset:
            self.session.learn(page_limit={**self.session.dialect.page_limit, "studies": count})
            self.findings.add("cap", False, f"Only {count} studies come at once, however many are asked for.")
        else:
            self.findings.add("cap", True, f"{asked} studies can be asked for at once.")

    def paging(self, first: _Answer) -> None:
        """Request the second study alone."""
        more = self.ask("/studies", [("limit", "1"), ("offset", "1")])
        if len(first.rows) > 1:
            self.findings.add("limit", False, "limit is ignored: pages come as long as the server likes.")
        else:
            self.findings.add("limit", True, "limit is honoured.")
        same = more is not None and bool(more.rows) and _uid(more.rows[0]) == _uid(first.rows[0])
        if same:
            self.session.learn(offset=False)
            self.findings.add("offset", False, "offset is ignored; dicomdock asks for everything at once.")
        else:
            self.findings.add(
                "offset", None if more is None or not more.rows else True, "offset is honoured."
            )
        self.cap()

    def filters(self, row: DicomJson) -> None:
        """Search by keys that must find nothing, and by keys that must find the known study."""
        uid = _uid(row)
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

    def kinds(self) -> None:
        """Search for what the first page showed, by a key of every kind."""
        answer = self.ask("/studies", [("limit", str(SAMPLE))])
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
        answer = self.ask("/studies", [(self.key(keyword), value), ("limit", str(SAFE_LIMIT))])
        return answer.rows if answer is not None else []

    def outcome(self, key: str, value: str) -> str:
        """Return what becomes of a key that nothing matches: ``honoured``, ``ignored`` or ``refused``."""
        answer = self.ask("/studies", [(key, value), ("limit", "2")])
        if answer is None or answer.status in REFUSED:
            return "refused"
        return "ignored" if answer.rows else "honoured"

    def key(self, keyword: str) -> str:
        """Write a matching key as the server understands it."""
        return tag_of(keyword) if self.session.dialect.key_style == "tag" else keyword

    def finds(self, key: str, value: str) -> bool:
        """Return whether a search finds anything."""
        answer = self.ask("/studies", [(key, value), ("limit", "2")])
        return answer is not None and bool(answer.rows)

    def wildcards(self, row: DicomJson) -> None:
        """Search the known patient by the start of the ID, and by name with fuzzy matching."""
        patient = json_model.text(row, "00100020")
        if len(patient) < 2 or not patient.isascii() or set(patient) & set("*?\\,&#%"):
            return
        answer = self.ask("/studies", [(self.key("PatientID"), f"{patient[:-1]}*"), ("limit", "1")])
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
            answer = self.ask("/studies", query)
            fuzzy = answer is not None and answer.status < 300 and not answer.warnings
            if not fuzzy:
                self.session.learn(fuzzy=False)
            self.findings.add(
                "fuzzy",
                None if fuzzy else False,
                "Fuzzy matching is accepted." if fuzzy else "There is no fuzzy matching.",
            )

    def included(self) -> None:
        """Request the columns that lists show."""
        answer = self.ask("/studies", [*(("includefield", name) for name in SHOWN), ("limit", "1")])
        if answer is None or answer.status >= 400:
            self.findings.add(
                "includefield",
                False,
                "Asking for further columns is refused; dicomdock finds out which and leaves them out.",
            )
            return
        row = answer.rows[0] if answer.rows else {}
        missing = [
            name
            for name, tag in zip(SHOWN, ("00081030", "00080061", "00201208"), strict=True)
            if tag not in row
        ]
        works = len(missing) < len(SHOWN)
        self.findings.add(
            "includefield",
            works,
            "Further columns can be asked for."
            if not missing
            else f"Not given when asked for: {', '.join(missing)}.",
        )

    def levels(self, study: Resource | None) -> None:
        """Search all series and all instances."""
        roots = ["studies"]
        for level, tag in (("series", "0020000E"), ("instances", "00080018")):
            answer = self.ask(f"/{level}", [("limit", "1")])
            works = (
                answer is not None
                and answer.status < 300
                and (study is None or any(json_model.text(row, tag) for row in answer.rows))
            )
            if works:
                roots.append(level)
            self.findings.add(
                f"all-{level}",
                works,
                f"All {level} can be searched at once."
                if works
                else f"{level.capitalize()} can be searched below a study only; dicomdock walks the studies.",
            )
        self.session.learn(root_levels=tuple(roots))

    def study_instances(self, study: Resource) -> None:
        """Search the instances of a whole study."""
        answer = self.ask(f"{study.path}/instances", [("limit", "1")])
        works = answer is not None and any(json_model.text(row, "SOPInstanceUID") for row in answer.rows)
        cut = works and self.is_cut()
        if cut or not works:
            self.session.learn(study_instances=False)
        self.findings.add(
            "study-instances",
            works and not cut,
            "The list of the instances of a study is cut, so that they are listed series by series."
            if cut
            else "The instances of a study can be listed at once."
            if works
            else "The instances of a study are listed series by series.",
        )

    def is_cut(self) -> bool:
        """Return whether the list of a study's instances holds few of each series, as Kheops' does.

        A page of one instance has two of each series there at most; of a study that has more, some must
        come behind them.
        """
        rest = {study: instances - 2 * series for study, (series, instances) in self.counts.items()}
        study = max(rest, key=lambda one: rest[one], default=None)
        if study is None or rest[study] <= 0 or not self.session.dialect.offset:
            return False
        behind = 2 * self.counts[study][0]
        answer = self.ask(f"{study.path}/instances", [("limit", "1"), ("offset", str(behind))])
        return answer is not None and answer.status < 300 and not answer.rows

    def count(self, rows: Sequence[DicomJson]) -> None:
        """Note how many series and instances the studies of a list have."""
        for row in rows:
            numbers = [
                json_model.text(row, f"NumberOfStudyRelated{level}") for level in ("Series", "Instances")
            ]
            study = resource_in(row)
            if study is not None and all(text.isascii() and text.isdigit() for text in numbers):
                self.counts[study] = (int(numbers[0][:9]), int(numbers[1][:9]))

    def below(self, study: Resource) -> Resource | None:
        """Find one instance of the study."""
        answer = self.ask(f"{study.path}/series", [("limit", "1")])
        rows = answer.rows if answer is not None else []
        series = next((one for row in rows if (one := resource_in(row, within=study)) and one != study), None)
        if series is None:
            self.findings.add("series", False, f"No series are listed below study {study}.")
            return None
        match = {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.series or ""}
        found: Resource | None = None
        with contextlib.suppress(DicomdockError):
            pages = search.search(self.session, Query("instances", match, limit=1))
            matches = (match.attributes for page in pages for match in page.matches)
            found = next(filter(None, (resource_in(one, within=series) for one in matches)), None)
        if found is None or found.instance is None:
            self.findings.add("instances", False, f"No instances are listed below series {series}.")
            return None
        self.findings.add("series", True, "Series and instances can be searched below a study.")
        self.study_instances(study)
        return found


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _uid(row: DicomJson) -> str:
    return json_model.text(row, "0020000D")
