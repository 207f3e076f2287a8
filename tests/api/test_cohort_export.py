"""A cohort as files: whole series under names of their own, de-identified where that was asked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from dicomdock import Archive, Segmentation
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.transfer.deidentified import make_deidentifier
from tests.builders import changed, ct_series, write
from tests.transfer.conftest import ended

CANARIES = (b"Doe", b"Jane", b"Q4711", b"Ruiz", b"1.2.777", b"20240102")


@pytest.fixture
def made(archive: Archive, settings: Settings, tmp_path: Path):
    """Return a cohort of two series that have one name, and an image of a screen."""
    first = ct_series(3, StudyInstanceUID="1.2.777.1", SeriesInstanceUID="1.2.777.11", PatientID="Q4711")
    second = ct_series(2, StudyInstanceUID="1.2.777.1", SeriesInstanceUID="1.2.777.12", PatientID="Q4711")
    screen = [
        changed(
            ct_series(1, StudyInstanceUID="1.2.777.1", SeriesInstanceUID="1.2.777.13")[0],
            SOPClassUID=SecondaryCaptureImageStorage,
            Modality="OT",
        )
    ]
    archive.import_paths(write(tmp_path / "made", [*first, *second, *screen]))
    series = [Resource("1.2.777.1", uid) for uid in ("1.2.777.11", "1.2.777.12", "1.2.777.13")]
    Cohorts(settings).save("c", [Item(one) for one in series], {})
    return archive.cohort("c"), series


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def canaries(folder: Path) -> set[tuple[str, bytes]]:
    """Return what names the patient, the day or the original UIDs in names and bytes of files."""
    found = set()
    for path in files(folder):
        name = str(path.relative_to(folder))
        data = unpacked(path) + name.encode()
        for canary in CANARIES:
            forms = {canary, canary.decode().encode("utf-16-le"), canary.lower(), canary.upper()}
            if any(form in data for form in forms):
                found.add((name, canary))
    return found


def unpacked(path: Path) -> bytes:
    """Return the bytes of a file, its voxels decompressed: by chance compressed ones hold anything."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        return gzip.decompress(data)
    head, _, voxels = data.partition(b"\n\n")
    return head + gzip.decompress(voxels) if data.startswith(b"NRRD") and b"gzip" in head else data


@pytest.mark.slow
def test_every_series_is_written_once_and_again_where_its_files_are_gone(made, tmp_path):
    cohort, _ = made
    folder = tmp_path / "out"
    report = ended(cohort.exporting(folder, "dicom"))
    assert report.complete, report
    written = files(folder)
    assert len(written) == 6
    assert len({path.parent for path in written}) == 3  # although two series have one name
    again = ended(cohort.exporting(folder, "dicom"))
    assert (again.now, again.complete, files(folder)) == (0, True, written)
    for path in written[0].parent.iterdir():
        path.unlink()
    written[0].parent.rmdir()
    assert ended(cohort.exporting(folder, "dicom")).now == 1
    assert files(folder) == written


@pytest.mark.slow
def test_what_leaves_as_nifti_has_no_name_and_the_voxels_and_segments_of_the_series(
    made, archive, settings, tmp_path
):
    cohort, series = made
    volume = archive.volume(series[0])
    mask = (volume.array > np.median(volume.array)).astype(np.uint8)
    saved = Segmentation.from_array(mask, volume, names=["high Doe^Jane"]).save()
    everything = [*series, Resource(saved.study, saved.series)]
    Cohorts(settings).save("c", [Item(one) for one in everything], {})
    cohort = archive.cohort("c")
    key = tmp_path / "key"
    key.write_text("0" * 64)
    deidentifier = make_deidentifier(settings, "basic", key)
    folder = tmp_path / "out"
    report = ended(cohort.exporting(folder, "nifti", deidentifier=deidentifier))
    states = {one.resource: one for one in report.outcomes}
    assert states[series[2]].state == "failed"
    assert "held back" in states[series[2]].reason
    assert [states[one].state for one in (*series[:2], everything[-1])] == ["done"] * 3, states

    assert canaries(folder) == set()
    for form in ("nrrd", "bids"):
        other = tmp_path / form
        assert ended(cohort.exporting(other, form, deidentifier=deidentifier)).count("done") == 3
        assert canaries(other) == set()
    arrays = {
        outcome.resource: np.asarray(nibabel.load(folder / str(outcome.result["path"])).dataobj)
        for outcome in report.outcomes
        if outcome.state == "done"
    }
    flipped = np.flip(arrays[series[0]].T, (0, 1, 2))  # NIfTI counts from the other end where that is usual
    ways = (arrays[series[0]].T, arrays[series[0]].T[:, ::-1], arrays[series[0]].T[:, ::-1, ::-1], flipped)
    assert any(np.array_equal(way, volume.array) for way in ways)
    assert arrays[everything[-1]].sum() == mask.sum()
    assert arrays[everything[-1]].shape == arrays[series[0]].shape

    copies = tmp_path / "copies"
    assert not ended(cohort.exporting(copies, "dicom", deidentifier=deidentifier)).complete
    assert {pydicom.dcmread(path).PatientIdentityRemoved for path in files(copies)} == {"YES"}
    assert len(files(copies)) == 3 + 2 + 1


@pytest.mark.slow
def test_two_exports_do_not_write_to_one_folder_at_a_time(made, tmp_path):
    cohort, _ = made
    folder = tmp_path / "out"
    first = cohort.exporting(folder, "dicom", workers=1)
    next(first)
    next(first)  # one series is done
    with pytest.raises(InvalidInput, match="Another export"):
        ended(cohort.exporting(folder, "nifti"))
    first.close()
    assert [path.name for path in folder.iterdir()] == ["Doe Jane Q4711"]
