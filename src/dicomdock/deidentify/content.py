"""Content items of structured reports and of sequences that are built like them.

References
----------
PS3.15 §E.3.4, table E.3.4-1 (concept names whose values identify somebody); PS3.3 §C.17.3.
"""

from __future__ import annotations

from collections.abc import Collection

from pydicom.dataset import Dataset

from dicomdock.deidentify.tables import Tables

CONTENT_SEQUENCES = frozenset(
    {
        "AcquisitionContextSequence",
        "ContentItemModifierSequence",
        "ContentSequence",
        "SpecimenPreparationStepContentItemSequence",
    }
)


def identifies(item: Dataset, tables: Tables, options: Collection[str]) -> bool:
    """Return whether a content item holds, by its concept name, what the profile removes.

    Dates, names and UIDs in other items are treated by their attributes.
    """
    name = next(iter(item.get("ConceptNameCodeSequence") or ()), Dataset())
    scheme, value = str(name.get("CodingSchemeDesignator", "")), str(name.get("CodeValue", ""))
    codes = tables.concepts.get(f"{scheme}|{value}|{item.get('ValueType', '')}")
    if codes is None or not codes["basic"].startswith("X"):
        return False
    return not any(option in codes for option in options)


def refers_by_position(items: Collection[Dataset]) -> bool:
    """Return whether content items refer to others by position in the tree: then none may be removed."""
    return any(
        "ReferencedContentItemIdentifier" in item or refers_by_position(item.get("ContentSequence") or ())
        for item in items
    )
