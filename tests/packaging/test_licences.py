"""What dicomdock installs by itself is permissively licensed, bounded and locked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from scripts import sbom
from tests.conftest import PROJECT

PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "PSF-2.0",
    "Zlib",
}
# The MPL covers changes to the library's own files, and nothing of the program that uses it.
OF_ITS_FILES_ONLY = {"bidict", "certifi", "orjson"}
# docutils is in the public domain but for a file for an editor, which its classifiers name too; the licence
# file of partd, which states only "BSD", is BSD-3-Clause.
NAMED_WITH_CARE = {"docutils", "partd"}
# What the user chooses by name may be licensed otherwise; nothing else needs these.
CHOSEN = {"libjpeg", "postgresql"}

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


def permissive(expression: str) -> bool:
    """Return True if an SPDX expression can be met by permissive licences alone."""
    operators = {"AND": " and ", "OR": " or ", "(": "(", ")": ")"}
    tokens = [token.strip() for token in re.split(r"(\bAND\b|\bOR\b|[()])", expression) if token.strip()]
    python = "".join(operators.get(token, str(token in PERMISSIVE)) for token in tokens)
    return bool(python) and bool(eval(python))


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("BSD-3-Clause AND 0BSD AND MIT", True),
        ("BSD-3-Clause AND LGPL-3.0-only", False),
        ("Apache-2.0 OR GPL-2.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ("LicenseRef-Proprietary", False),
        ("", False),
    ],
)
def test_expressions_are_read(expression, allowed):
    assert permissive(expression) is allowed


@pytest.mark.slow
def test_no_dependency_is_copyleft():
    pytest.importorskip("trame_slicer", reason="the viewer's dependencies cannot be looked at without it")
    parts = sbom.runtime([extra for extra in EXTRAS if extra not in CHOSEN])
    found = {name: sbom.licence(part) for name, part in parts.items()}
    refused = {
        name: licence
        for name, licence in found.items()
        if not permissive(licence) and name not in NAMED_WITH_CARE
    }
    assert set(refused) <= OF_ITS_FILES_ONLY, refused
    assert all("MPL-2.0" in licence for licence in refused.values()), refused


@pytest.mark.slow
def test_the_bill_of_materials_lists_every_dependency():
    ran = subprocess.run(
        [sys.executable, "scripts/sbom.py", "dock"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    bill = json.loads(ran.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "dicomdock"
    listed = {part["bom-ref"]: part for part in bill["components"]}
    assert {part["name"] for part in listed.values()} == set(sbom.runtime(["dock"])) - {"dicomdock"}
    assert all(part["licenses"] for part in listed.values())
    refs = {*listed, bill["metadata"]["component"]["bom-ref"]}
    assert {each["ref"] for each in bill["dependencies"]} == refs
    assert all(set(each["dependsOn"]) <= refs for each in bill["dependencies"])


def declared() -> list[Requirement]:
    every = [*PYPROJECT["project"]["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    return [requirement for requirement in map(Requirement, every) if requirement.name != "dicomdock"]


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_every_dependency_has_a_lower_bound_and_a_locked_version_within_its_bounds(requirement):
    assert any(part.operator in (">=", "==", "~=") for part in requirement.specifier)
    lines = (PROJECT / "constraints.txt").read_text("utf-8").splitlines()
    locked = [Requirement(line) for line in lines]
    versions = [
        next(iter(part.specifier)).version
        for part in locked
        if sbom.name_of(part.name) == sbom.name_of(requirement.name)
    ]
    assert versions, "make lock"
    assert all(requirement.specifier.contains(version) for version in versions), "make lock"


def test_the_lock_names_no_registry():
    assert "/" not in (PROJECT / "constraints.txt").read_text("utf-8")
