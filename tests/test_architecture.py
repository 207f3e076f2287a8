"""The house as docs/map.md draws it: who may import whom, what is public, what starts fast."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import dicomdock
from tests.conftest import PROJECT

LINT = Path(sys.executable).with_name("lint-imports")
PUBLIC = 25  # the most names that the package may offer

# What a command that does not need it must never import: it costs 0.1 s and more each.
HEAVY = {"pydicom", "numpy", "highdicom", "nicegui", "starlette", "uvicorn", "typer", "keyring"}


def test_the_arrows_hold():
    run = subprocess.run([LINT, "--no-cache"], cwd=PROJECT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_no_module_imports_its_importer():
    """Imports inside functions and for types alone count: a circle is one whenever it closes."""
    graph = grimp.build_graph("dicomdock", cache_dir=None)
    order = TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules})
    order.prepare()  # raises CycleError, which names the circle


def test_every_row_of_the_map_exists():
    """Every module and folder that the map names is there, and every package has its line."""
    text = (PROJECT / "docs" / "map.md").read_text("utf-8")
    package = Path(dicomdock.__file__).parent
    walks = text.partition("## Two walks")[2].partition("## The house")[0]
    steps = re.findall(
        r"(?<=[ >])((?:launch|dock|transfer|viewer|dicomweb|web|archive|dicom|imaging)\.[a-z0-9_.]+[a-z0-9])",
        walks,
    )
    for name in (*re.findall(r"`dicomdock\.([a-z0-9_.]+)`", text), *steps):
        path = package.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
    (tree,) = re.findall(r"^    src/dicomdock/\n((?:      .*\n)+)", text, flags=re.MULTILINE)
    entries = [line.split()[0] for line in tree.splitlines() if line[6:7].strip()]
    assert [entry for entry in entries if not (package / entry).exists()] == []
    parts = {path.name + "/" for path in package.iterdir() if (path / "__init__.py").exists()}
    assert parts <= set(entries)


def test_every_part_has_its_layer():
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layered = {
        part.strip().removeprefix("dicomdock.").split(".")[0]
        for row in contracts[0]["layers"]
        for part in row.split("|")
    }
    package = Path(dicomdock.__file__).parent
    parts = {
        path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert layered == parts - {"__init__"}


def test_every_public_name_is_there():
    assert len(dicomdock.__all__) <= PUBLIC
    for name in dicomdock.__all__:
        assert getattr(dicomdock, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        dicomdock.Nothing  # noqa: B018 - asking is the test


def test_the_version_is_reported_once():
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    assert pyproject["project"]["dynamic"] == ["version"]
    source = PROJECT / pyproject["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{dicomdock.__version__}"' in source.read_text("utf-8")


@pytest.mark.parametrize(
    "module", ["dicomdock", "dicomdock.sources", "dicomdock.config.servers", "dicomdock.cli"]
)
def test_what_starts_fast_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(run.stdout.split())
