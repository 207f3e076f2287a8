"""Hanging rules: what is saved is found again, and a file that a person wrote is checked."""

from __future__ import annotations

import pytest

from dicomdock.config.hanging import FILE, Rule, Rules, rule_for
from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput


def test_a_rule_replaces_the_one_of_its_kind(settings: Settings) -> None:
    rules = Rules(settings)
    assert rules.read() == ()
    every = Rule("CT", layout="Axial and two", first="Thorax")
    three = Rule("CT", 3, "Compare", "Thorax", prior=True, windowed=True)
    for one in (every, three, Rule("MR", layout="Axial"), Rule("CT", layout="Axial")):
        rules.add(one)
    again = Rules(settings).read()
    assert len(again) == 3
    assert rule_for(again, "CT", 3) == three
    assert rule_for(again, "CT", 2) == Rule("CT", layout="Axial")
    assert rule_for(again, "US", 1) is None
    rules.remove(("CT", 3))
    assert rule_for(rules.read(), "CT", 3) == Rule("CT", layout="Axial")
    assert three.words == "CT with 3 series: Compare, Thorax beside the same of the study before"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules = 3", r"\[\[rules\]\]"),
        ("[[rules]]\nlayout = 'Axial'", "rule 1 names no modality"),
        ("[[rules]]\nmodality = 'CT'\nseries = -1", "whole number of at least 0"),
        ("[[rules]]\nmodality = 'CT'\nlayuot = 'Axial'", "layuot is not known"),
        ("[[rules]", "cannot be read"),
    ],
)
def test_what_is_not_a_rule_is_reported_and_nothing_is_overwritten(
    settings: Settings, text: str, words: str
) -> None:
    settings.config.mkdir(parents=True, exist_ok=True)
    (settings.config / FILE).write_text(text)
    with pytest.raises(InvalidInput, match=words):
        Rules(settings).read()
    with pytest.raises(InvalidInput):
        Rules(settings).add(Rule("CT"))
    assert (settings.config / FILE).read_text() == text
