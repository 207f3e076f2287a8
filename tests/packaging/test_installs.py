"""The built packages install where nothing else is, by each of the usual installers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import PROJECT

import dicomdock

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
MAX_SDIST = 1_500_000  # bytes
MAX_DISTRIBUTIONS = 40
MAX_FILES = 220_000_000  # bytes in the files of the wheels; bytecode is made later, by Python
WEB_AND_VIEWER = {"nicegui", "starlette", "uvicorn", "fastapi", "vtk", "trame", "trame-slicer", "slicer-core"}

LOOK = """
import importlib.metadata, json, os, sys
import dicomdock
for name in dicomdock.__all__:
    getattr(dicomdock, name)
found = [*importlib.metadata.distributions()]
paths = [str(file.locate()) for part in found for file in part.files or () if file.suffix != '.pyc']
print(json.dumps({
    'names': sorted(part.name.lower() for part in found),
    'bytes': sum(os.path.getsize(path) for path in paths if os.path.exists(path)),
    'loaded': sorted(set(sys.modules) & {'vtk', 'nicegui', 'starlette'}),
}))
"""


def ran(*words: object, code: int = 0) -> str:
    """Run a program outside of any environment and return what it wrote, to both streams."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    done = subprocess.run(
        [*map(str, words)],
        env=inherited,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=250,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and the source archive once."""
    folder = tmp_path_factory.mktemp("dist")
    ran(BIN / "uv", "build", "-q", "--out-dir", folder, PROJECT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def by_pip(wheel: Path, folder: Path) -> Path:
    ran(sys.executable, "-m", "venv", folder)
    ran(folder / "bin/pip", "install", "-q", "--no-compile", "-c", PROJECT / "constraints.txt", wheel)
    return folder / "bin"


def by_pipx(wheel: Path, folder: Path) -> Path:
    environment = (f"PIPX_HOME={folder}/home", f"PIPX_BIN_DIR={folder}/bin", f"PIPX_MAN_DIR={folder}/man")
    arguments = f"--no-compile -c {PROJECT / 'constraints.txt'}"
    ran(
        "env",
        *environment,
        BIN / "pipx",
        "install",
        "--python",
        sys.executable,
        f"--pip-args={arguments}",
        wheel,
    )
    return folder / "home/venvs/dicomdock/bin"


def by_uv(wheel: Path, folder: Path) -> Path:
    environment = (f"UV_TOOL_DIR={folder}/tools", f"UV_TOOL_BIN_DIR={folder}/bin")
    lock = PROJECT / "constraints.txt"
    ran("env", *environment, BIN / "uv", "tool", "install", "-q", "-p", sys.executable, "-c", lock, wheel)
    assert (folder / "bin/dicomdock-open").exists()
    return folder / "tools/dicomdock/bin"


@pytest.mark.parametrize("install", [by_uv, by_pip, by_pipx])
def test_the_wheel_installs_and_runs(install: Callable[[Path, Path], Path], wheel, tmp_path, home):
    programs = install(wheel, tmp_path / "installed")
    dock = programs / "dicomdock"
    assert ran(dock, "--version") == f"dicomdock {dicomdock.__version__}\n"
    assert "Nothing was found" in ran(dock, "list")
    for command in ("run", "serve"):
        assert "pip install 'dicomdock[dock]'" in ran(dock, command, code=1)
    found = json.loads(ran(programs / "python", "-c", LOOK))
    names = {*found["names"]} - {"pip", "setuptools"}
    assert not names & WEB_AND_VIEWER
    assert not found["loaded"]
    assert len(names) <= MAX_DISTRIBUTIONS
    if install is by_uv:  # which brings no pip
        assert found["bytes"] <= MAX_FILES


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    source = PROJECT / "src"
    files = {
        str(file.relative_to(source))
        for file in (source / "dicomdock").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.startswith("dicomdock/")} == files
    assert any(name.startswith("dicomdock/dock/static/") for name in names)
    assert any(name.startswith("dicomdock/viewer/static/") for name in names)
    others = {name.partition("/")[2] for name in names if not name.startswith("dicomdock/")}
    assert others == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_the_source_archive_is_small_and_builds_itself(built, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    assert archive.stat().st_size < MAX_SDIST
    with tarfile.open(archive) as packed:
        names = packed.getnames()
        packed.extractall(tmp_path / "source", filter="data")
    inside = {name.partition("/")[2] for name in names}
    assert not any(name.endswith(".png") for name in inside)
    assert not any(name.startswith("tests/") for name in inside)
    assert {"pyproject.toml", "LICENSE", "README.md", "Makefile"} <= inside
    (folder,) = (tmp_path / "source").iterdir()
    ran(BIN / "uv", "build", "-q", "--wheel", "--out-dir", tmp_path / "again", folder)
    (again,) = (tmp_path / "again").glob("*.whl")
    (first,) = built.glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(first).namelist()
