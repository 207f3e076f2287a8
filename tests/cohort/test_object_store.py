"""A cohort whose archive is a bucket with its index in PostgreSQL: the same numbers as numpy has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import dask
import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from dicomdock import Archive, archive
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.servers import ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.transfer.deidentified import make_deidentifier
from tests.archive.conftest import new_database, postgresql  # noqa: F401 - fixtures
from tests.builders import Made, ct_series
from tests.origin.running import serving
from tests.servers import s3
from tests.servers.s3 import S3
from tests.transfer.conftest import ended

SERIES = [Resource("1.2.777.1", f"1.2.777.1.{number}") for number in range(3)]
FUNCTION = """
from dicomdock import Segmentation


def measure(volume):
    mask = volume.array > -800
    return {"voxels": mask.sum()}, Segmentation.from_array(mask, volume, names=["high"])
"""

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def made() -> dict[Resource, list[Made]]:
    return {
        one: ct_series(3 + number, StudyInstanceUID=one.study, SeriesInstanceUID=one.series)
        for number, one in enumerate(SERIES)
    }


@pytest.fixture
def stored(
    request: pytest.FixtureRequest,
    settings: Settings,
    bucket: S3,
    made: dict[Resource, list[Made]],
    tmp_path: Path,
) -> Iterator[Settings]:
    """Yield settings of an empty archive in a bucket, and a cohort of what a server has."""
    database = request.getfixturevalue("new_database")()
    other = replace(settings, archive=tmp_path / "server", state=tmp_path / "server-state")
    in_bucket = replace(settings, database=database, object_store=f"s3://{s3.BUCKET}/some/prefix")
    with archive.Archive.open(other) as there, serving(there) as server:
        server.add(*(one.data for series in made.values() for one in series))
        load_profiles(settings).with_profile(ServerProfile("hospital", server.url)).save(settings)
        Cohorts(settings).save("c", [Item(one, "hospital") for one in SERIES], {})
        yield in_bucket


def volume_of(series: list[Made]) -> np.ndarray:
    return np.stack([one.dataset.pixel_array for one in series]).astype(int) - 1024


def test_a_cohort_is_pulled_measured_and_exported_from_a_bucket(stored, bucket, made, tmp_path) -> None:
    code = tmp_path / "own.py"
    code.write_text(FUNCTION)
    with Archive.open(stored) as home:
        cohort = home.cohort("c")
        report = ended(cohort.pulling(workers=2))
        assert report.complete, report
        in_bucket = {bucket.read(key) for key in bucket.objects("some/prefix/")}
        assert in_bucket >= {one.data for series in made.values() for one in series}
        measured = ended(cohort.running(f"{code}:measure", workers=1))
        assert measured.complete, measured
        voxels = {one.resource: one.result["voxels"] for one in measured.outcomes}
        assert voxels == {one: int((volume_of(series) > -800).sum()) for one, series in made.items()}

    # Another machine, which has nothing of the archive but its addresses.
    elsewhere = replace(stored, archive=tmp_path / "elsewhere")
    with Archive.open(elsewhere) as home:
        cohort = home.cohort("c")
        for outcome in measured.outcomes:
            saved = Resource.parse(str(outcome.result["saved"]))
            (part,) = home.retrieve(saved)
            dataset = dcmread(BytesIO(b"".join(part.chunks())))
            assert dataset.pixel_array.sum() == voxels[outcome.resource]
            statistics = home.segmentation(saved).statistics()
            values = volume_of(made[outcome.resource])
            (one,) = statistics.segments
            assert one.values.mean == pytest.approx(values[values > -800].mean())
        with dask.config.set(scheduler="synchronous"):
            for series in SERIES:
                np.testing.assert_array_equal(
                    cohort.array(series, slices=2).compute(), volume_of(made[series])
                )
        means = {one.resource: one.value for one in cohort.map(lambda volume: float(volume.array.mean()))}
        assert means == {one: pytest.approx(volume_of(series).mean()) for one, series in made.items()}
        (tmp_path / "key").write_text("0" * 64)
        deidentifier = make_deidentifier(elsewhere, "basic", tmp_path / "key")
        exported = ended(cohort.exporting(tmp_path / "out", "nifti", deidentifier=deidentifier))
        assert exported.complete, exported
        found = [nibabel.load(path).get_fdata().sum() for path in (tmp_path / "out").rglob("*.nii.gz")]
        assert sorted(found) == sorted(float(volume_of(series).sum()) for series in made.values())
