"""The checks of a probe that search: what each asks, what its answer means, and its finding.

References
----------
PS3.18 §8.3.4 (query parameters), §10.6 (Search).
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomdock.config import dialects
from dicomdock.config.dialects import Dialect
from dicomdock.dicom import json_model
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource, resource_in
from dicomdock.dicomweb import search
from dicomdock.dicomweb.probe.filter_checks import FilterChecks
from dicomdock.dicomweb.probe.report import Findings
from dicomdock.dicomweb.probe.searches import SAFE_LIMIT, TELLING, Answer, ProbeSearches, study_uid
from dicomdock.dicomweb.session import JSON, read_json
from dicomdock.errors import DicomdockError, TransactionError
from dicomdock.sources import DicomJson
from dicomdock.web.media_type import MediaType

if TYPE_CHECKING:
    from dicomdock.config.servers import ServerProfile
    from dicomdock.dicomweb.session import Session

ROUND: Final = 50  # a page of so many, or of a multiple, looks like a cap
SHOWN: Final = ("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")


@dataclass
class SearchChecks:
    """The checks of searches, each using what was found before.

    Parameters
    ----------
    profile : the server.
    session : its connection; what is found is learned there.
    findings : receives what was found.
    """

    profile: ServerProfile
    session: Session
    findings: Findings

    def __post_init__(self) -> None:
        self.searches = ProbeSearches(self.session, self.profile.name)

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
        self.searches.count(first.rows)
        self.character_set(first.rows[0])
        self.paging(first)
        filters = FilterChecks(self.session, self.searches, self.findings)
        filters.by_keys(first.rows[0])
        filters.by_kinds()
        self.included()
        self.levels(study)
        return self.below(study)

    def first_search(self) -> Answer:
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
        answer = Answer(
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
        answer = self.searches.ask("/studies", [("limit", str(asked))])
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
        further = self.searches.ask("/studies", [("limit", "1"), ("offset", str(count))])
        if further is not None and further.rows and self.session.dialect.offset:
            self.session.learn(page_limit={**self.session.dialect.page_limit, "studies": count})
            self.findings.add("cap", False, f"Only {count} studies come at once, however many are asked for.")
        else:
            self.findings.add("cap", True, f"{asked} studies can be asked for at once.")

    def paging(self, first: Answer) -> None:
        """Request the second study alone."""
        more = self.searches.ask("/studies", [("limit", "1"), ("offset", "1")])
        if len(first.rows) > 1:
            self.findings.add("limit", False, "limit is ignored: pages come as long as the server likes.")
        else:
            self.findings.add("limit", True, "limit is honoured.")
        same = more is not None and bool(more.rows) and study_uid(more.rows[0]) == study_uid(first.rows[0])
        if same:
            self.session.learn(offset=False)
            self.findings.add("offset", False, "offset is ignored; dicomdock asks for everything at once.")
        else:
            self.findings.add(
                "offset", None if more is None or not more.rows else True, "offset is honoured."
            )
        self.cap()

    def included(self) -> None:
        """Request the columns that lists show."""
        answer = self.searches.ask("/studies", [*(("includefield", name) for name in SHOWN), ("limit", "1")])
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
            answer = self.searches.ask(f"/{level}", [("limit", "1")])
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
        answer = self.searches.ask(f"{study.path}/instances", [("limit", "1")])
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
        rest = {study: instances - 2 * series for study, (series, instances) in self.searches.counts.items()}
        study = max(rest, key=lambda one: rest[one], default=None)
        if study is None or rest[study] <= 0 or not self.session.dialect.offset:
            return False
        behind = 2 * self.searches.counts[study][0]
        answer = self.searches.ask(f"{study.path}/instances", [("limit", "1"), ("offset", str(behind))])
        return answer is not None and answer.status < 300 and not answer.rows

    def below(self, study: Resource) -> Resource | None:
        """Find one instance of the study."""
        answer = self.searches.ask(f"{study.path}/series", [("limit", "1")])
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
