"""An archive as others may see it: every answer is made of de-identified copies.

Queries are compared with what the copies say, never with the originals, so that no answer depends on what was
removed; what is held back is not there at all.

References
----------
PS3.15 Annex E.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from dicomdock.archive import Archive
from dicomdock.archive.index.attributes import STUDY_KEYWORDS
from dicomdock.archive.index.queries import ArchivedInstance
from dicomdock.archive.search import fields_not_indexed, returned_keywords
from dicomdock.deidentify import Deidentifier
from dicomdock.dicom.dictionary import tag_of, vr_of
from dicomdock.dicom.json_model import DicomJson, JsonValue, text
from dicomdock.dicom.media_types import DICOM, in_transfer_syntax
from dicomdock.dicom.query import Query
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Forbidden, InvalidInput, NotFound
from dicomdock.origin.deidentified_copies import Copies, Copy, Remembered
from dicomdock.origin.deidentified_studies import Studies
from dicomdock.sources import Match, Page, Part, StoreResult, data_chunks

PAGE = 20  # matches; small, as the first search has to read every instance that it finds
SUMMARIES = 64 << 20  # bytes of studies as a search finds them

_COUNTED = (
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "InstanceAvailability",
)
_OF_STUDY = frozenset((*STUDY_KEYWORDS, *_COUNTED))
_TAGS = frozenset(map(tag_of, (*_OF_STUDY, "Modality", "SOPClassUID")))


class DeidentifiedArchive:
    """The de-identified copies of an archive as a source, for reading only.

    Parameters
    ----------
    archive : the originals.
    deidentifier : says what is seen of them.
    """

    name = "de-identified"

    def __init__(self, archive: Archive, deidentifier: Deidentifier) -> None:
        self._archive = archive
        self._deidentifier = deidentifier
        self._copies = Copies(archive, deidentifier)
        self._studies = Studies(archive, deidentifier)
        self._summaries = Remembered(SUMMARIES)

    def search(self, query: Query) -> Iterator[Page]:
        """Search what the copies say, in no order that the originals would give away."""
        warnings = ("De-identified studies are not sorted.",) if query.order else ()
        end = None if query.limit is None else query.offset + query.limit
        matches = islice(self._matches(query), query.offset, end)
        nothing = True
        while some := tuple(islice(matches, PAGE)):
            yield Page(some, warnings=warnings if nothing else ())
            nothing = False
        if nothing:
            yield Page((), warnings=warnings)

    def retrieve(self, resource: Resource) -> Iterator[Part]:
        """Return the copies of the instances of a resource.

        Raises
        ------
        NotFound
            There is none.
        InvalidInput
            Frames are asked for.
        """
        if resource.frames:
            raise InvalidInput("The archive returns whole instances; the origin server extracts frames.")
        for instance, copy in self._found(resource):
            data = self._copies.data(instance)
            if data is not None:
                content_type = in_transfer_syntax(DICOM, copy.transfer_syntax_uid)
                yield Part(content_type, partial(data_chunks, data), length=len(data), resource=copy.resource)

    def metadata(self, resource: Resource) -> Iterator[DicomJson]:
        """Return the attributes of the copies of the instances of a resource.

        Raises
        ------
        NotFound
            There is none.
        """
        for _, copy in self._found(resource):
            yield copy.attributes

    def store(self, parts: Iterable[Part], *, study: str | None = None) -> Iterator[StoreResult]:  # noqa: ARG002
        """Refuse to store.

        Raises
        ------
        Forbidden
            Always.
        """
        raise Forbidden("This server is for reading only.")

    def delete(self, resource: Resource) -> None:  # noqa: ARG002
        """Refuse to delete.

        Raises
        ------
        Forbidden
            Always.
        """
        raise Forbidden("This server is for reading only.")

    def _found(self, resource: Resource) -> Iterator[tuple[ArchivedInstance, Copy]]:
        """Return the instances of a resource with their copies.

        Raises
        ------
        NotFound
            There is none that is not held back.
        """
        nothing = True
        if (original := self._studies.original(resource.study)) is not None:
            for instance in self._archive.instances(Resource(original)):
                if not resource.contains(self._deidentifier.resource(instance.resource)):
                    continue
                if (copy := self._copies.of(instance)) is not None:
                    yield instance, copy
                    nothing = False
        if nothing:
            raise NotFound(f"There is nothing at {resource}.")

    def _matches(self, query: Query) -> Iterator[Match]:
        wanted = None
        if "all" not in query.fields:
            wanted = frozenset(map(tag_of, (*returned_keywords(query), *fields_not_indexed(query))))
        asked = {name.partition(".")[0] for name in (*query.match, *query.fields)}
        for original in self._originals(query.match.get("StudyInstanceUID", "")):
            instances = self._archive.instances(Resource(original))
            if query.level == "studies" and asked <= _OF_STUDY:
                summary = self._summary(instances)
                found = [summary] if summary and query.matches(summary) else []
            else:
                found = [*_found_in([copy for one in instances if (copy := self._copies.of(one))], query)]
            for attributes in found:
                yield Match(_answered(attributes, wanted))

    def _originals(self, named: str) -> Iterable[str]:
        """Return the studies that a matching key may mean: those that it names, or all."""
        uids = named.replace("\\", ",").split(",")
        if not all(uids) or any(character in named for character in "*?"):
            return self._studies.all().values()
        originals = (self._studies.original(uid.strip()) for uid in dict.fromkeys(uids))
        return [uid for uid in originals if uid is not None]

    def _summary(self, instances: Sequence[ArchivedInstance]) -> DicomJson:
        """Return what a search finds of a study by default; nothing where no instance of it may be seen."""
        key = hashlib.sha256("".join(one.digest for one in instances).encode()).hexdigest()
        if (remembered := self._summaries.get(key)) is None:
            copies = [_summed(copy) for one in instances if (copy := self._copies.of(one))]
            attributes = {**copies[0].attributes, **_of_study(copies)} if copies else {}
            remembered = json.dumps({tag: one for tag, one in attributes.items() if tag in _TAGS}).encode()
            self._summaries.put(key, remembered)
        summary: DicomJson = json.loads(remembered)
        return summary


def _summed(copy: Copy) -> Copy:
    """Return a copy with the attributes that a summary is made of."""
    return replace(copy, attributes={tag: one for tag, one in copy.attributes.items() if tag in _TAGS})


def _found_in(copies: Sequence[Copy], query: Query) -> Iterator[DicomJson]:
    """Return what of a study matches a query: the study, its series or instances."""
    if not copies:
        return
    of_study = _of_study(copies)
    by_series: dict[str | None, list[Copy]] = {}
    for copy in copies:
        by_series.setdefault(copy.resource.series, []).append(copy)
    groups: Iterable[tuple[Sequence[Copy], DicomJson]] = [(copies, of_study)]
    if query.level == "series":
        groups = [(some, {**of_study, **_of_series(some)}) for some in by_series.values()]
    elif query.level == "instances":
        groups = [
            ((copy,), {**of_study, **_of_series(some), **_of_instance(copy)})
            for some in by_series.values()
            for copy in some
        ]
    for some, counted in groups:
        found = ({**copy.attributes, **counted} for copy in some)
        if (match := next(filter(query.matches, found), None)) is not None:
            yield match


def _of_study(copies: Sequence[Copy]) -> DicomJson:
    return _elements(
        {
            "ModalitiesInStudy": _distinct(copies, "Modality"),
            "SOPClassesInStudy": _distinct(copies, "SOPClassUID"),
            "NumberOfStudyRelatedSeries": [len({copy.resource.series for copy in copies})],
            "NumberOfStudyRelatedInstances": [len(copies)],
            "InstanceAvailability": ["ONLINE"],
        }
    )


def _of_series(copies: Sequence[Copy]) -> DicomJson:
    return _elements({"NumberOfSeriesRelatedInstances": [len(copies)]})


def _of_instance(copy: Copy) -> DicomJson:
    return _elements({"AvailableTransferSyntaxUID": [copy.transfer_syntax_uid]})


def _distinct(copies: Sequence[Copy], keyword: str) -> list[str]:
    return sorted({text(copy.attributes, keyword) for copy in copies} - {""})


def _elements(values: Mapping[str, Sequence[JsonValue]]) -> DicomJson:
    return {tag_of(keyword): {"vr": vr_of(keyword), "Value": [*found]} for keyword, found in values.items()}


def _answered(attributes: DicomJson, wanted: frozenset[str] | None) -> DicomJson:
    """Return what an answer has of a match: the attributes that are wanted, no bulk data."""
    return {
        tag: element
        for tag, element in sorted(attributes.items())
        if (wanted is None or tag in wanted) and "BulkDataURI" not in str(element)
    }
