"""The files that a DICOMDIR names: tolerant of how they are written, and nothing is left out in silence."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.fileset import FileSet

from dicomdock.archive.packed import named_by
from dicomdock.errors import WireError
from tests.builders import ct_series, write

# pydicom's FileSet cannot be closed.
pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up")


@pytest.fixture
def dicomdir(tmp_path: Path) -> Path:
    """Write three instances with a DICOMDIR, which is returned."""
    files = FileSet()
    for path in write(tmp_path / "in", ct_series(3)):
        files.add(path)
    files.write(tmp_path / "medium")
    del files
    gc.collect()
    return tmp_path / "medium" / "DICOMDIR"


def rename(dicomdir: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the names by which a DICOMDIR refers to its files."""
    dataset = pydicom.dcmread(dicomdir)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the names are odd on purpose
        for record in dataset.DirectoryRecordSequence:
            if "ReferencedFileID" in record:
                record.ReferencedFileID = change(list(record.ReferencedFileID))
        dataset.save_as(dicomdir)


def found(dicomdir: Path) -> tuple[list[Path], str]:
    """Return the files that are named, and the reason why they are not all."""
    files = []
    try:
        files.extend(named_by(dicomdir))
    except WireError as error:
        return files, str(error)
    return files, ""


def on_disk(dicomdir: Path) -> set[Path]:
    return {path for path in dicomdir.parent.rglob("*") if path.is_file() and path != dicomdir}


@pytest.mark.slow
def test_a_directory_that_is_cut_off_is_refused_at_every_length(dicomdir: Path) -> None:
    """The files that are still named come first; nobody takes them for all."""
    whole = dicomdir.read_bytes()
    assert (set(found(dicomdir)[0]), found(dicomdir)[1]) == (on_disk(dicomdir), "")
    for length in range(200, len(whole), 97):
        dicomdir.write_bytes(whole[:length])
        files, reason = found(dicomdir)
        assert reason
        assert set(files) <= on_disk(dicomdir)


@pytest.mark.slow
def test_names_may_be_joined(dicomdir: Path) -> None:
    rename(dicomdir, lambda names: ["/".join(names)])
    assert (set(found(dicomdir)[0]), found(dicomdir)[1]) == (on_disk(dicomdir), "")


@pytest.mark.slow
@pytest.mark.parametrize("names", [["..", "in", "A"], ["../in/A"], ["/etc/passwd"], ["A", "", "B"]])
def test_a_name_that_leads_out_of_the_medium_is_not_followed(dicomdir: Path, names: list[str]) -> None:
    changes = iter([names])
    rename(dicomdir, lambda known: next(changes, known))
    files, reason = found(dicomdir)
    assert len(files) == 2
    assert set(files) < on_disk(dicomdir)
    assert repr("/".join(names)) in reason


@pytest.mark.slow
@pytest.mark.parametrize("ending", [";1", ".", ".;1"])
def test_names_of_a_raw_iso_9660_medium(dicomdir: Path, ending: str) -> None:
    """A CD that is copied without its extensions shows a dot and the version behind each name."""
    for path in on_disk(dicomdir):
        path.rename(f"{path}{ending}")
    assert (set(found(dicomdir)[0]), found(dicomdir)[1]) == (on_disk(dicomdir), "")
