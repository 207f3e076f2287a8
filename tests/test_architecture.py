"""The house as docs/map.md draws it: who may import whom, what is public, what starts fast."""

from __future__ import annotations

import ast
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

SOURCE = Path(dicomdock.__file__).parent
LINT = Path(sys.executable).with_name("lint-imports")
PUBLIC = 25  # the most names that the package may offer

# What a command that does not need it must never import: it costs 0.1 s and more each.
HEAVY = {"pydicom", "numpy", "highdicom", "nicegui", "starlette", "uvicorn", "typer", "keyring"}


@pytest.mark.slow
def test_the_arrows_hold():
    run = subprocess.run([LINT, "--no-cache"], cwd=PROJECT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.slow
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


THREADED = ("dicom", "archive", "dicomweb", "transfer", "origin")  # packages that import pydicom in threads


_FIRST_USES = """
import importlib, threading
from dicomdock.dicom.charset import decode_text
from dicomdock.dicom.dictionary import keyword_of

begin = threading.Barrier(4)
uses = [
    lambda: decode_text(b"\\xe9", "LO", b"ISO_IR 100"),
    lambda: keyword_of("00080104"),
    lambda: importlib.import_module("dicomdock.origin.rendering"),
    lambda: importlib.import_module("dicomdock.archive.metadata"),
]
def run(use):
    begin.wait()
    use()
threads = [threading.Thread(target=run, args=(use,)) for use in uses]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def _pydicom_imports(scope):
    """Yield the modules that a module or function imports of pydicom itself, in order."""
    waiting = list(scope.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.ImportFrom):
            yield from [node.module] if (node.module or "").partition(".")[0] == "pydicom" else []
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] == "pydicom")
        elif isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            waiting[:0] = [*node.body, *node.orelse]
        elif isinstance(node, ast.With | ast.Try):
            waiting[:0] = node.body


@pytest.mark.slow
def test_threads_load_pydicom_whole_before_its_parts():
    """Two threads that begin with different parts of it each get the other's half made: an ImportError."""
    found = []
    for path in (file for package in THREADED for file in (SOURCE / package).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        firsts = (next(_pydicom_imports(scope), "pydicom") for scope in (tree, *functions))
        found += [f"{path}: {first}" for first in firsts if first != "pydicom"]
    assert not found


@pytest.mark.slow
def test_threads_that_need_pydicom_at_the_same_moment_all_get_it():
    run = subprocess.run([sys.executable, "-c", _FIRST_USES], capture_output=True, text=True, check=True)
    assert run.stdout == "" and run.stderr == ""


@pytest.mark.parametrize(
    "module", ["dicomdock", "dicomdock.sources", "dicomdock.config.servers", "dicomdock.cli"]
)
def test_what_starts_fast_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(run.stdout.split())


@pytest.mark.slow
def test_the_origin_server_starts_without_what_decodes():
    code = "import sys, dicomdock.origin.app; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydicom", "numpy", "PIL"}.intersection(run.stdout.split())
