"""A cohort as a BIDS data set, judged by the validator of BIDS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from dicomdock import Archive, Segmentation
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.imaging.formats.bids import Kind, kind_of_image, name_of, subject_of
from dicomdock.transfer.deidentified import make_deidentifier
from tests.api.conftest import AFFINE, SHAPE, values
from tests.builders import Made, ct_series, encode, write
from tests.imaging.scans import scan
from tests.transfer.conftest import ended

STUDY = {"StudyInstanceUID": "1.2.777.1", "PatientID": "Patient-1", "PatientName": "Doe^Jane"}


def mr(description: str, *, times: int = 1, **attributes: object) -> list[Made]:
    shared = {**STUDY, "SeriesInstanceUID": generate_uid(), "FrameOfReferenceUID": "1.2.777.2"}
    made = []
    for at in range(times):
        for one in scan(values() + at, AFFINE, SOPClassUID=MRImageStorage, Modality="MR", **shared):
            one.dataset.SeriesDescription = description
            one.dataset.RepetitionTime, one.dataset.EchoTime = 2000, 30
            if times > 1:
                one.dataset.TemporalPositionIdentifier = at + 1
                one.dataset.AcquisitionNumber = at + 1
            for keyword, value in attributes.items():
                setattr(one.dataset, keyword, value[at] if isinstance(value, tuple) else value)
            made.append(Made(one.dataset, encode(one.dataset)))
    return made


@pytest.fixture
def cohort(archive: Archive, settings: Settings, tmp_path: Path):
    gradients = {"DiffusionBValue": (0.0, 1000.0), "DiffusionGradientOrientation": ([0, 0, 0], [1, 0, 0])}
    series = [
        mr("T1 MPRAGE"),
        mr("T1 MPRAGE"),
        mr("fMRI resting", times=3, ScanningSequence="EP"),
        mr("DTI", times=2, ScanningSequence="EP", **gradients),
        mr("of no kind"),
        ct_series(3, **{**STUDY, "StudyInstanceUID": "1.2.777.3"}),
    ]
    for number, made in enumerate(series):
        archive.import_paths(write(tmp_path / f"in{number}", made))
    found = [Resource(made[0].study, made[0].series) for made in series]
    volume = archive.volume(found[0])
    found.append(Segmentation.from_array(volume.array > 250, volume, names=["lesion"]).save())
    Cohorts(settings).save("c", [Item(one) for one in found], {})
    return archive.cohort("c")


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz"))


@pytest.mark.slow
@pytest.mark.parametrize("deidentified", [False, True])
def test_the_validator_finds_no_error(cohort, settings, tmp_path, deidentified) -> None:
    folder = tmp_path / "out"
    deidentifier = None
    if deidentified:
        (tmp_path / "key").write_text("0" * 64)
        deidentifier = make_deidentifier(settings, "basic", tmp_path / "key")
    report = ended(cohort.exporting(folder, "bids", deidentifier=deidentifier))
    assert report.count("done") == 7, report
    found = names(folder)
    suffixes = sorted(name.removesuffix(".nii.gz").rsplit("_", 1)[1] for name in found)
    assert suffixes == ["T1w", "T1w", "bold", "ct", "dseg", "dwi", "image"]
    assert len({name.split("/ses-")[0] for name in found if name.startswith("sub-")}) == 1
    assert [name for name in found if not name.startswith("sub-")] == [
        next(name for name in found if name.startswith("derivatives/dicomdock/sub-")),
        next(name for name in found if name.startswith("sourcedata/sub-")),
    ]
    (bold,) = (folder / name for name in found if "bold" in name)
    assert "task-rest" in bold.name
    image = nibabel.load(bold)
    assert image.shape == (*SHAPE[::-1], 3)
    assert image.header.get_zooms()[3] == 2.0
    assert bold.parent.name == "func"
    (dwi,) = (folder / name for name in found if "dwi" in name)
    assert np.loadtxt(str(dwi).replace(".nii.gz", ".bval")).tolist() == [0, 1000]
    ran = subprocess.run(
        [Path(sys.executable).with_name("bids-validator-deno"), "--format", "json", folder],
        capture_output=True,
        check=False,
        timeout=300,
    )
    issues = json.loads(ran.stdout)["issues"]["issues"]
    assert [one for one in issues if one["severity"] == "error"] == []
    if deidentified:
        everything = b"".join(
            str(path).encode() + path.read_bytes() for path in folder.rglob("*") if path.is_file()
        )
        assert not [one for one in (b"Doe", b"Patient1", b"1.2.777", b"MPRAGE") if one in everything]
    again = ended(cohort.exporting(folder, "bids", deidentifier=deidentifier))
    assert (again.now, names(folder)) == (0, found)


WORDS = st.text(max_size=40)


@pytest.mark.slow
@given(WORDS, WORDS, WORDS, st.integers(1, 3), st.booleans())
def test_no_label_has_another_character_than_letters_and_digits(
    patient: str, description: str, protocol: str, volumes: int, diffusion: bool
) -> None:
    header = Dataset()
    header.Modality, header.ScanningSequence, header.RepetitionTime = "MR", "EP", 1000
    header.PatientID, header.SeriesDescription, header.ProtocolName = patient, description, protocol
    header.StudyInstanceUID = "1.2"
    kind = kind_of_image(header, description, volumes=volumes, diffusion=diffusion) or Kind("other", "image")
    name = name_of(subject_of(header), "s", kind, "a", None).rpartition("/")[2]
    parts = name.split("_")
    for part in parts[:-1]:
        key, dash, label = part.partition("-")
        assert dash
        assert (key + label).isascii()
        assert (key + label).isalnum()
        assert label
    assert parts[-1].isalnum()


@pytest.mark.parametrize(
    ("description", "attributes", "suffix"),
    [
        ("Ax T2 FLAIR", {}, "FLAIR"),
        ("t2_tse_tra", {}, "T2w"),
        ("ep2d T2* perf", {}, "T2starw"),
        ("sag t1", {"ImageType": ["DERIVED", "SECONDARY"]}, None),
        ("localizer t2", {}, None),
        ("", {"ScanningSequence": "SE", "EchoTime": 90, "RepetitionTime": 4000}, "T2w"),
        ("", {"ScanningSequence": "SE", "EchoTime": 10, "RepetitionTime": 500}, "T1w"),
        ("", {"ScanningSequence": ["SE", "IR"], "EchoTime": 90, "InversionTime": 2500}, "FLAIR"),
        ("", {"ScanningSequence": ["GR", "IR"], "EchoTime": 3, "InversionTime": 900}, "T1w"),
        ("", {"ScanningSequence": "GR", "EchoTime": 3}, None),
    ],
)
def test_what_an_image_is(description: str, attributes: dict, suffix: str | None) -> None:
    header = Dataset()
    header.Modality, header.SeriesDescription, header.RepetitionTime = "MR", description, 9000
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    kind = kind_of_image(header, "", volumes=1, diffusion=False)
    assert (kind.suffix if kind else None) == suffix
