"""A CT of a tilted gantry in the viewer: what is drawn on its straightened picture is saved on its slices."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomdock import Archive, Resource
from tests.builders import Made
from tests.imaging.scans import check_with_dciodvfy, grid, scan
from tests.viewer.conftest import Opened, Screen, folders, store, viewing
from tests.viewer.editing import Editor, coloured, until_coloured

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

SHAPE = (10, 60, 50)
AFFINE = np.array([[0, 0, 0.8, -20], [1.2, 0.8, 0, -24], [3, 0, 0, 10], [0, 0, 0, 1.0]])
"""A shift of one and a half rows from slice to slice."""

BRIGHT = (slice(3, 8), slice(20, 34), slice(12, 30))


def phantom() -> np.ndarray:
    """Return a bright box, of which each slice has the same pixels, on a dark ground."""
    values = np.full(SHAPE, -100, np.int16)
    values[BRIGHT] = 700
    return values


@pytest.fixture(scope="module")
def instances() -> list[Made]:
    """The CT."""
    return scan(
        phantom(), AFFINE, PatientName="Doe^Jane", PatientID="4711", WindowCenter="300", WindowWidth="1000"
    )


@pytest.fixture(scope="module")
def opened(
    viewer_installed: None, instances: list[Made], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """It in a viewer."""
    settings = folders(tmp_path_factory.mktemp("tilted"))
    store(settings, instances)
    first = instances[0].dataset
    study, series = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
    with viewing(settings, Resource(study), series) as found:
        yield found


@pytest.fixture(scope="module")
def editor(opened: Opened, page: Screen) -> Editor:
    """The segment editor, with everything between two values drawn."""
    page.put("layout", "Axial")
    page.tool("segment")
    page.wait("s.drawing_name")
    editor = Editor(opened, page, {})
    editor.tool("threshold")
    for end, value in (("from", "500"), ("to", "1100")):
        page.button(f"threshold-{end}").fill(value)
        page.button(f"threshold-{end}").press("Enter")
    editor.apply()
    editor.active("NoTool")  # what is applied is put away, and with it the preview, which colours the picture
    return editor


def stored(opened: Opened, resource: Resource) -> tuple[bytes, Dataset]:
    """Return an instance of the archive, as bytes and as pydicom reads it."""
    with Archive.open(opened.settings) as archive:
        (found,) = archive.instances(resource)
        data = found.path.read_bytes()
    return data, dcmread(io.BytesIO(data))


def where(dataset: Dataset) -> list[float]:
    """Return Image Position (Patient) as numbers."""
    return [float(value) for value in dataset.ImagePositionPatient]


def test_the_object_has_the_scanners_slices_and_shows_the_same_voxels_again(
    editor: Editor, opened: Opened, instances: list[Made], tmp_path: Path
) -> None:
    before = coloured(editor.screen)
    assert before > 0.005
    data, seg = stored(opened, editor.save())
    sources = {str(one.dataset.SOPInstanceUID): one.dataset for one in instances}
    assert (seg.Rows, seg.Columns) == SHAPE[1:]
    named = []
    for item in seg.PerFrameFunctionalGroupsSequence:
        source = item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        named.append(str(source))
        assert where(item.PlanePositionSequence[0]) == pytest.approx(where(sources[source]), abs=1e-4)
    assert len(named) == len(set(named)) == 5  # one frame for each slice that holds something
    expected = phantom() > 500
    read = highdicom.seg.segread(io.BytesIO(data))
    voxels = read.get_pixels_by_source_instance(named, combine_segments=False)[..., 0]
    order = [list(sources).index(uid) for uid in named]
    for k, frame in zip(order, voxels, strict=True):
        due = expected[k]
        if k % 2 == 0:  # the straightened picture has these slices' own pixels
            assert np.array_equal(frame, due)
        else:  # a picture between two rows of the slice is half a row larger or smaller
            assert not (frame.astype(bool) ^ due)[[*range(19), *range(36, 60)]].any()
            assert abs(int(frame.sum()) - int(due.sum())) <= due.any(axis=0).sum()
    check_with_dciodvfy(data, tmp_path)
    with Archive.open(opened.settings) as archive:
        found = archive.segmentation(Resource(opened.study, str(seg.SeriesInstanceUID)))
    assert found.geometry.matches(grid(SHAPE, AFFINE))
    screen, uid = editor.screen, str(seg.SeriesInstanceUID)
    screen.button("new-drawing").click()
    screen.wait("s.drawing_name && !s.drawing_uid")
    until_coloured(screen, less=before / 4)
    screen.button(f"drawing-{uid}").click()
    screen.wait(f"s.drawing_uid === '{uid}' && !s.busy && !s.unsaved")
    until_coloured(screen, more=before * 0.99, less=before * 1.01)  # its colour is rounded when it is stored


def test_it_is_saved_as_a_structure_set_with_the_same_voxels(editor: Editor, opened: Opened) -> None:
    screen = editor.screen
    if not screen.state("drawing_uid"):
        editor.save()
    with Archive.open(opened.settings) as archive:
        before = archive.segmentation(Resource(opened.study, screen.state("drawing_uid"))).to_array()
    assert before.any()
    screen.button("save-as").select_option("RTSTRUCT")
    screen.button("save-panel").click()
    screen.note("Saved in the archive as RT Structure Set")
    screen.wait("!s.saving")
    uid = screen.state("drawing_uid")
    _, structures = stored(opened, Resource(opened.study, uid))
    assert structures.Modality == "RTSTRUCT"
    with Archive.open(opened.settings) as archive:
        found = archive.segmentation(Resource(opened.study, uid))
    assert np.array_equal(found.to_array(), before)
    screen.button("save-panel").click()
    screen.note("Nothing has changed")
    screen.button("save-as").select_option("SEG")
