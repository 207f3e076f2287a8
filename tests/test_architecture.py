"""The house as docs/map.md draws it: who may import whom, what is public, what starts fast."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dicomdock
from tests.conftest import PROJECT

LINT = Path(sys.executable).with_name("lint-imports")
PUBLIC = 25  # the most names that the package may offer

# What a command that does not need it must never import: it costs 0.1 s and more each.
HEAVY = {"pydicom", "numpy", "sqlalchemy", "highdicom", "nicegui", "starlette", "uvicorn", "typer", "keyring"}


def test_the_arrows_hold():
    run = subprocess.run([LINT, "--no-cache"], cwd=PROJECT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


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


def test_the_version_is_told_once():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == dicomdock.__version__


@pytest.mark.parametrize(
    "module", ["dicomdock", "dicomdock.sources", "dicomdock.config.servers", "dicomdock.cli"]
)
def test_what_starts_fast_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(run.stdout.split())
