"""Somebody plants links in the folder of an export, at the names of files that are just being written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomdock.cli import main
from tests.builders import ct_series, write

OURS = b"a file of the user"


@pytest.fixture
def victim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a file that links lead to, both before a file is written and after it is removed."""
    file = tmp_path / "victim"
    file.write_bytes(OURS)
    with_name, unlink = Path.with_name, Path.unlink
    removed: set[Path] = set()

    def plant(path: Path) -> None:
        if path.name.endswith(".part") and path.parent.is_dir() and path.is_relative_to(tmp_path / "out"):
            path.symlink_to(file)

    def named(path: Path, name: str) -> Path:
        found = with_name(path, name)
        plant(found)
        return found

    def removing(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok=missing_ok)
        if path not in removed:
            removed.add(path)
            plant(path)

    monkeypatch.setattr(Path, "with_name", named)
    monkeypatch.setattr(Path, "unlink", removing)
    return file


@pytest.mark.parametrize("how", ["{out}", "{out}/study.zip --zip", "{out} --format nifti"])
def test_no_link_is_written_through(home: Path, tmp_path: Path, victim: Path, how: str) -> None:
    images = ct_series(3)
    assert main(["import", *map(str, write(tmp_path / "files", images))]) == 0
    out = tmp_path / "out"
    out.mkdir()
    assert main(["export", images[0].study, *how.format(out=out).split()]) == 1
    assert victim.read_bytes() == OURS
    assert [path for path in out.rglob("[!.]*") if path.is_file()] == []
