"""Instances of tests, put into an archive and found in it."""

from __future__ import annotations

from dicomdock.archive import Archive
from dicomdock.dicom.json_model import text
from dicomdock.dicom.query import Query
from tests.archive.conftest import part
from tests.builders import Made


def add(archive: Archive, *instances: Made, **options: object) -> list[str]:
    """Add instances; return what became of each."""
    with archive.writer(**options) as writer:
        return [writer.add(part(one.data)).status for one in instances]


def found(archive: Archive, level: str, **match: str) -> list[str]:
    """Return the UIDs of the matches of a search."""
    keyword = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[
        level
    ]
    pages = archive.search(Query(level, match))
    return [text(one.attributes, keyword) for page in pages for one in page.matches]
