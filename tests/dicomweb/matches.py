"""What the tests read of a search."""

from __future__ import annotations

from dicomdock.dicom.json_model import text


def found(pages, keyword="StudyInstanceUID"):
    """Return an attribute of all matches."""
    return [text(match.attributes, keyword) for page in pages for match in page.matches]


def words(pages):
    """Return the warnings of all pages."""
    return " ".join(sentence for page in pages for sentence in page.warnings)
