"""A cohort in a notebook: a function on every series, DataFrames, and arrays that are read when computed."""

from __future__ import annotations

import pickle
import threading
from itertools import islice
from pathlib import Path

import dask
import numpy as np
import pytest

from dicomdock import Archive, Segmentation
from dicomdock.api.cohort_function import Storing, evaluate
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, NotInArchive
from tests.builders import ct_series, multiframe, write

SLICES = (5, 6, 7, 40)
SERIES = [Resource("1.2.777.1", f"1.2.777.1{number}") for number in range(4)]
ABSENT = Resource("1.2.777.1", "1.2.777.404")


@pytest.fixture
def cohort(archive: Archive, settings: Settings, tmp_path: Path):
    """Return four series of a study, a segmentation of the first, and one that was not pulled."""
    for number, one in enumerate(SERIES):
        made = ct_series(SLICES[number], StudyInstanceUID=one.study, SeriesInstanceUID=one.series)
        if number == 3:
            del made[20]  # a slice is missing
        archive.import_paths(write(tmp_path / str(number), made))
    volume = archive.volume(SERIES[0])
    saved = Segmentation.from_array(volume.array > -1000, volume, names=["high"]).save()
    items = [Item(one, patient="P1", modality="CT") for one in [*SERIES, saved, ABSENT]]
    Cohorts(settings).save("c", items, {})
    return archive.cohort("c")


@pytest.mark.slow
def test_every_series_has_its_answer_and_one_that_raises_costs_no_other(cohort) -> None:
    def measure(volume):
        if volume.series == SERIES[1]:
            raise ZeroDivisionError("no")
        return {"voxels": volume.array.size, "most": int(volume.array.max())}

    answers = {one.resource: one for one in cohort.map(measure, workers=2)}
    assert set(answers) == {item.resource for item in cohort.items}
    assert answers[SERIES[0]].value == {"voxels": 5 * 16 * 24, "most": -1024 + 400 + 150 + 23}
    assert (answers[SERIES[1]].state, answers[SERIES[1]].reason) == ("failed", "ZeroDivisionError: no")
    assert "pull the cohort" in answers[ABSENT].reason
    assert "1 slice is missing" in answers[SERIES[3]].reason
    assert [one.state for one in answers.values()].count("passed over") == 1

    frame = cohort.to_dataframe(answers.values())
    assert list(frame["SeriesInstanceUID"]) == [item.resource.series for item in cohort.items]
    assert frame.loc[frame["state"] == "done", "voxels"].sum() == (5 + 7 + 40) * 16 * 24
    assert list(cohort.to_dataframe()["state"]) == ["left"] * 6


@pytest.mark.slow
def test_a_run_says_of_each_series_what_is_unusual_about_it(cohort, settings) -> None:
    with Storing.open(settings) as archive:
        for series in (None, [str(SERIES[3].series)]):
            found = evaluate(archive, lambda _volume: 1, SERIES[3], "seed", series)
            assert "1 slice is missing" in found["remarks"]
        assert evaluate(archive, lambda _volume: 1, SERIES[0], "seed")["remarks"] == ""


@pytest.mark.slow
def test_any_value_is_an_answer_and_a_map_can_be_left(cohort) -> None:
    called = []
    first = [*islice(cohort.map(lambda volume: called.append(volume) or volume.array.shape, workers=1), 1)]
    assert first[0].value == (5, 16, 24)
    assert first[0].result == {"value": (5, 16, 24)}
    assert len(called) < len(SERIES)
    assert not [one for one in threading.enumerate() if one.name.startswith("cohort")]


@pytest.mark.slow
@pytest.mark.parametrize("slices", [1, 3, 50])
def test_a_lazy_array_has_the_voxels_of_the_volume(cohort, archive, slices) -> None:
    for series in SERIES:
        volume = archive.volume(series)
        array = cohort.array(series, slices=slices)
        assert (array.shape, array.dtype, array.dims) == (
            volume.array.shape,
            volume.array.dtype,
            ("k", "j", "i"),
        )
        assert array.data.chunks[0][0] == min(slices, len(volume.array))
        np.testing.assert_array_equal(array.attrs["affine"], volume.affine)
        assert array.attrs["units"] == "HU"
        with dask.config.set(scheduler="synchronous"):
            np.testing.assert_array_equal(array.compute(), volume.array)
            again = pickle.loads(pickle.dumps(array))
            np.testing.assert_array_equal(again.mean(dim=("j", "i")), volume.array.mean(axis=(1, 2)))


@pytest.mark.slow
def test_only_the_instances_of_a_chunk_are_read(cohort, archive) -> None:
    array = cohort.array(cohort.items[0], slices=2)
    instances = archive.local.instances(SERIES[0])
    for one in instances[2:]:
        one.path.unlink()
    with dask.config.set(scheduler="synchronous"):
        assert array[:2].compute().shape == (2, 16, 24)
        with pytest.raises(DamagedInstances):
            array[2:].compute()
        other = instances[0].path
        other.chmod(0o600)
        other.write_bytes(other.read_bytes()[:-1] + b"\x7f")
        with pytest.raises(DamagedInstances, match="1 instance is damaged"):
            array[:2].compute()


@pytest.mark.slow
def test_frames_of_one_file_are_chunks_too(cohort, archive, tmp_path) -> None:
    made = multiframe(5)
    archive.import_paths(write(tmp_path / "multiframe", [made]))
    series = Resource(made.study, made.series)
    with dask.config.set(scheduler="synchronous"):
        found = cohort.array(str(series), slices=2).compute()
    np.testing.assert_array_equal(found, archive.volume(series).array)


@pytest.mark.slow
def test_what_holds_no_volume_is_refused_when_it_is_asked_for(cohort) -> None:
    with pytest.raises(NotInArchive):
        cohort.array(ABSENT)
