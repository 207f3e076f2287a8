"""The single trials of a probe: what each asks, what its answer means, and the sentence for people.

References
----------
PS3.18 §8.3.4 (query parameters), §10.4 (Retrieve), §10.6 (Search).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dicomdock.dicomweb import dialects, dicomjson, pictures, wado
from dicomdock.dicomweb.listing import warnings_of
from dicomdock.dicomweb.media import MediaType
from dicomdock.dicomweb.report import Finding
from dicomdock.dicomweb.session import JSON, read_json
from dicomdock.dictionary import tag_of
from dicomdock.errors import DicomdockError, NotFound, TransactionError, UnsupportedByServer, WireError
from dicomdock.resource import Resource
from dicomdock.source import DicomJson

if TYPE_CHECKING:
    from dicomdock.dicomweb.session import Session
    from dicomdock.profile import ServerProfile

# What no study has: a Patient ID of nobody, and days before any image.
NOTHING: Final = {"PatientID": "dicomdocknobody", "StudyDate": "17000101-17000102"}
SHOWN: Final = ("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")
# Answers that tell something; a refused login and a server that fails or is busy end the probe.
TELLING: Final = frozenset(range(400, 600)) - {401, 403, 429, 500, 502, 503, 504}


@dataclass
class _Answer:
    status: int
    rows: list[DicomJson]
    total: str = ""
    warnings: tuple[str, ...] = ()


@dataclass
class Trials:
    """The tries, in an order in which each can use what was found before."""

    profile: ServerProfile
    session: Session
    findings: list[Finding] = field(default_factory=list)

    def say(self, topic: str, works: bool | None, sentence: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(topic, works, sentence))

    def run(self) -> None:
        """Try everything; errors of the first search end the probe, later ones are findings."""
        first = self.first_search()
        self.recognise()
        study = next((place for row in first.rows if (place := dicomjson.place(row))), None)
        if study is None:
            self.say("data", None, "The server shows no study to this login, so most could not be tried.")
            self.levels(None)
            return
        self.say("data", True, "The server shows studies to this login.")
        self.paging(first)
        self.filters(first.rows[0])
        self.included()
        self.levels(study)
        instance = self.below(study)
        if instance is not None:
            self.retrieval(instance)
            self.pictures(instance)
        self.say("store", None, "Uploading was not tried, because a test only reads.")
        levels = self.session.dialect.delete_levels
        self.say(
            "delete",
            None if levels else False,
            "Deleting was not tried." if levels else "This kind of server does not delete by DICOMweb.",
        )

    def first_search(self) -> _Answer:
        """Ask for one study; what goes wrong here ends the probe."""
        response = self.session.http.request(
            "GET",
            "/studies",
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
        self.say("reachable", True, f"{self.profile.url} answers.")
        self.say("login", True, f"The login is accepted ({self.profile.login}).")
        self.say("search", True, "Studies can be searched.")
        if answer.rows and label != JSON:
            self.say(
                "label",
                False,
                f"Answers are labelled {label or 'not at all'} instead of {JSON}; that does not matter.",
            )
        if answer.total:
            self.say("total", True, "The number of all matches is told.")
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
            "PS3.18, with what was found here"
            if chosen is dialects.STANDARD
            else f"the built-in dialect {chosen.name!r}"
        )
        self.say("dialect", None, f"dicomdock will follow {known}.")

    def ask(self, path: str, query: Sequence[tuple[str, str]]) -> _Answer | None:
        """Search; None where the server refuses or answers with something else."""
        try:
            response = self.session.http.request(
                "GET", path, query=query, accept=JSON, gzip=True, allow=TELLING, what="a test search"
            )
            if not 200 <= response.status < 300:
                response.discard()
                return _Answer(response.status, [])
            warnings = warnings_of(response.headers, self.profile.name)
            return _Answer(response.status, read_json(response, "a test search"), warnings=warnings)
        except (TransactionError, WireError):
            return None

    def paging(self, first: _Answer) -> None:
        """Ask for the second study alone."""
        more = self.ask("/studies", [("limit", "1"), ("offset", "1")])
        if len(first.rows) > 1:
            self.say("limit", False, "limit is ignored: pages come as long as the server likes.")
        else:
            self.say("limit", True, "limit is honoured.")
        same = more is not None and bool(more.rows) and _uid(more.rows[0]) == _uid(first.rows[0])
        if same:
            self.session.learn(offset=False)
            self.say("offset", False, "offset is ignored; dicomdock asks for everything at once.")
        else:
            self.say("offset", None if more is None or not more.rows else True, "offset is honoured.")

    def filters(self, row: DicomJson) -> None:
        """Try keys that must find nothing, and keys that must find the known study."""
        uid = _uid(row)
        ignored = [keyword for keyword, value in NOTHING.items() if self.finds(keyword, value)]
        if "PatientID" in ignored and not self.finds(tag_of("PatientID"), NOTHING["PatientID"]):
            self.session.learn(key_style="tag")
            self.say("keys", False, "Attributes are understood by tag only.")
            ignored = [keyword for keyword, value in NOTHING.items() if self.finds(tag_of(keyword), value)]
        if ignored:
            words = f"Filters on {' and '.join(ignored)} are ignored; dicomdock filters the answers itself."
            self.say("filters", False, words)
        else:
            self.say("filters", True, "Filters on PatientID and StudyDate are honoured.")
        if len(ignored) == len(NOTHING):
            self.session.learn(match_keys=("StudyInstanceUID",), wildcard=False)
            return
        if not ignored and not self.finds("StudyInstanceUID", uid) and self.finds("0020000D", uid):
            self.session.learn(key_style="tag")
            self.say("keys", False, "Attributes are understood by tag only.")
        self.wildcards(row)

    def key(self, keyword: str) -> str:
        """Write a matching key as the server understands it."""
        return tag_of(keyword) if self.session.dialect.key_style == "tag" else keyword

    def finds(self, key: str, value: str) -> bool:
        """Tell whether a search finds anything."""
        answer = self.ask("/studies", [(key, value), ("limit", "2")])
        return answer is not None and bool(answer.rows)

    def wildcards(self, row: DicomJson) -> None:
        """Ask for the known patient by the start of the ID, and by name in a fuzzy way."""
        patient = dicomjson.first_text(row, "00100020")
        if len(patient) < 2 or not patient.isascii() or set(patient) & set("*?\\,&#%"):
            return
        answer = self.ask("/studies", [(self.key("PatientID"), f"{patient[:-1]}*"), ("limit", "1")])
        works = answer is not None and bool(answer.rows)
        if not works:
            self.session.learn(wildcard=False)
        elif not self.finds(self.key("PatientID"), f"{patient[:-1]}?"):
            self.session.learn(question_mark=False)
            self.say("question-mark", False, "The wildcard ? is taken literally; dicomdock filters itself.")
        self.say(
            "wildcard",
            works,
            "Wildcards work." if works else "Wildcards do not work; dicomdock filters the answers itself.",
        )
        name = dicomjson.first_text(row, "00100010")
        if name and self.session.dialect.fuzzy:
            query = [(self.key("PatientName"), name), ("fuzzymatching", "true"), ("limit", "1")]
            answer = self.ask("/studies", query)
            fuzzy = answer is not None and answer.status < 300 and not answer.warnings
            if not fuzzy:
                self.session.learn(fuzzy=False)
            self.say(
                "fuzzy",
                None if fuzzy else False,
                "Fuzzy matching is accepted." if fuzzy else "There is no fuzzy matching.",
            )

    def included(self) -> None:
        """Ask for the columns that lists show."""
        answer = self.ask("/studies", [*(("includefield", name) for name in SHOWN), ("limit", "1")])
        if answer is None or answer.status >= 400:
            self.say(
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
        self.say(
            "includefield",
            works,
            "Further columns can be asked for."
            if not missing
            else f"Not given when asked for: {', '.join(missing)}.",
        )

    def levels(self, study: Resource | None) -> None:
        """Try the lists of all series and all instances."""
        roots = ["studies"]
        for level, tag in (("series", "0020000E"), ("instances", "00080018")):
            answer = self.ask(f"/{level}", [("limit", "1")])
            works = (
                answer is not None
                and answer.status < 300
                and (study is None or any(dicomjson.first_text(row, tag) for row in answer.rows))
            )
            if works:
                roots.append(level)
            self.say(
                f"all-{level}",
                works,
                f"All {level} can be searched at once."
                if works
                else f"{level.capitalize()} can be searched below a study only; dicomdock walks the studies.",
            )
        self.session.learn(root_levels=tuple(roots))

    def below(self, study: Resource) -> Resource | None:
        """Find one instance of the study."""
        place = study
        for level in ("series", "instances"):
            answer = self.ask(f"{place.path}/{level}", [("limit", "1")])
            rows = answer.rows if answer is not None else []
            found = next(
                (spot for row in rows if (spot := dicomjson.place(row, within=place)) and spot != place), None
            )
            if found is None:
                self.say(level, False, f"No {level} are listed below {place.level} {place}.")
                return None
            place = found
        self.say("series", True, "Series and instances can be searched below a study.")
        return place

    def retrieval(self, instance: Resource) -> None:
        """Try one instance, its series and its study; streams are closed as soon as the first part begins."""
        works = self.begins(instance)
        form = (
            wado.FORMS[self.session.forms["instance"]] if works and "instance" in self.session.forms else None
        )
        if form is None:
            self.say(
                "instance",
                works,
                "Instances come by WADO-URI." if works else "Instances cannot be retrieved.",
            )
        else:
            self.say("instance", True, "Instances can be retrieved.")
            self.session.learn(any_transfer_syntax=form.any_transfer_syntax, single_part=form.single)
            self.say(
                "as-stored",
                form.any_transfer_syntax,
                "Instances come as stored."
                if form.any_transfer_syntax
                else "The server does not promise to send instances as stored; it may rewrite them.",
            )
        series = Resource(instance.study, instance.series)
        for level, place in (("series", series), ("study", Resource(instance.study))):
            if self.begins(place):
                self.session.learn(retrieve_level=level)
                self.say(f"retrieve-{level}", True, f"A {level} comes in one stream.")
            else:
                if level == "series":
                    self.session.learn(retrieve_level="instance")
                self.say(
                    f"retrieve-{level}",
                    False,
                    f"A {level} does not come in one stream; dicomdock fetches what is below.",
                )
                return

    def begins(self, place: Resource) -> bool:
        """Tell whether a resource can be retrieved, by its first part."""
        with contextlib.suppress(DicomdockError):
            answer = wado.ask(self.session, place)
            if isinstance(answer, TransactionError):
                return (
                    place.level == "instance" and bool(self.session.dialect.wado_uri) and self.by_uri(place)
                )
            with contextlib.closing(answer):
                return any(True for _ in answer)
        return False

    def by_uri(self, place: Resource) -> bool:
        """Tell whether an instance comes by WADO-URI."""
        with contextlib.closing(wado.by_uri(self.session, place, NotFound("not found", status=404))) as parts:
            return any(True for _ in parts)

    def pictures(self, instance: Resource) -> None:
        """Try metadata, a rendered picture and a thumbnail of the instance."""
        for topic, trial in (
            ("metadata", lambda: next(wado.metadata(self.session, instance), None)),
            (
                "rendered",
                lambda: pictures.picture(
                    self.session, instance, "rendered", [("viewport", "64,64")], "image/jpeg"
                ),
            ),
            (
                "thumbnail",
                lambda: pictures.picture(
                    self.session, instance, "thumbnail", [("viewport", "64,64")], "image/jpeg"
                ),
            ),
        ):
            try:
                works: bool | None = trial() is not None
            except (NotFound, UnsupportedByServer):
                works = False
            except DicomdockError:
                works = None  # this object may have no picture
            if works is not None:
                self.session.learn(**{topic: works})
            words = {
                True: "can be had",
                False: "cannot be had",
                None: "could not be had of the instance tried",
            }[works]
            name = {"metadata": "Metadata", "rendered": "Rendered pictures", "thumbnail": "Thumbnails"}[topic]
            self.say(topic, works, f"{name} {words}.")


def _uid(row: DicomJson) -> str:
    return dicomjson.first_text(row, "0020000D")
