"""Coded names and their colours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomdock.imaging.terminology import (
    ALTERED,
    ANATOMY,
    LEFT,
    RIGHT,
    TISSUE,
    Code,
    Terminology,
    code_item,
    code_of,
    colour_for,
    from_cielab,
    next_name,
    to_cielab,
)


@pytest.mark.slow
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_survive_cielab(rgb: tuple[int, int, int]) -> None:
    assert from_cielab(to_cielab(rgb)) == rgb


def test_colours_are_those_of_dcmqi() -> None:
    assert from_cielab([43803, 26565, 37722]) == (128, 174, 128)
    assert from_cielab([37064, 44082, 41620]) == (216, 101, 79)


@pytest.mark.parametrize(
    ("name", "kind", "modifier", "category"),
    [
        ("Liver", "10200004", None, ANATOMY),
        ("left kidney", "64033007", LEFT, ANATOMY),
        ("Kidney_R", "64033007", RIGHT, ANATOMY),
        ("LeftKidney", "64033007", LEFT, ANATOMY),
        ("kidneys", "64033007", None, ANATOMY),
        ("Left Ventricle", "87878005", None, ANATOMY),
        ("tumour 2", "4147007", None, ALTERED),
        ("Segment_1", TISSUE.value, None, TISSUE),
        ("", TISSUE.value, None, TISSUE),
    ],
)
def test_a_name_suggests_codes(name: str, kind: str, modifier: Code | None, category: Code) -> None:
    found = Terminology.suggest(name)
    assert (found.kind.value, found.modifier, found.category) == (kind, modifier, category)


@pytest.mark.parametrize(
    ("names", "following"),
    [((), "Segment 1"), (("Segment 1",), "Segment 2"), (("Segment 9", "Liver", "Segment 2b"), "Segment 10")],
)
def test_segments_that_nobody_named_are_numbered(names: tuple[str, ...], following: str) -> None:
    assert next_name(names) == following
    assert Terminology.suggest(following).kind == TISSUE


def test_slicer_entries_go_both_ways() -> None:
    entry = (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^64033007^Kidney~SCT^7771000^Left~Anatomic codes - DICOM master list~SCT^1^Somewhere~^^"
    )
    found = Terminology.from_slicer(entry)
    assert (found.words, found.region) == ("Left Kidney", Code("1", "SCT", "Somewhere"))
    assert found.to_slicer() == entry
    assert Terminology.from_slicer("") == Terminology()


def test_known_structures_have_slicers_colours_and_others_differ() -> None:
    assert colour_for(Terminology.suggest("liver"), 1) == (221, 130, 101)
    assert colour_for(Terminology(), 1) != colour_for(Terminology(), 2)


@pytest.mark.parametrize("value", ["1234", "12345678901234567890", "urn:oid:1.2.3"])
def test_codes_survive_a_dataset(value: str) -> None:
    dataset = Dataset()
    dataset.ConceptNameCodeSequence = [code_item(Code(value, "SCT", "Name", "1"))]
    assert code_of(dataset, "ConceptNameCodeSequence") == Code(value, "SCT", "Name", "1")
    assert code_of(Dataset(), "ConceptNameCodeSequence") is None


def test_a_code_is_what_scheme_and_value_say() -> None:
    plain, versioned = Code("mm", "UCUM", "millimeter"), Code("mm", "UCUM", "mm", "1.4")
    length, before = Code("410668003", "SCT", "Length"), Code("G-D7FE", "SRT", "Length", "1.1")
    assert {plain: 1, length: 2}[versioned] == 1
    assert {plain: 1, length: 2}[before] == 2
    assert plain != Code("mm", "99LOCAL", "millimeter") and length != plain
