"""Projects with real segmentations: what is submitted, how far it agrees, and what is exported."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from dicomdock import Archive, Segmentation
from dicomdock.api.project import AnnotationProject
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotFound, NotInArchive
from dicomdock.imaging.geometry import VolumeGeometry
from dicomdock.imaging.segmentation import Mask
from dicomdock.project.model import CaseRefused, CaseState
from dicomdock.project.store import Projects
from tests.api.conftest import AFFINE, SHAPE, values
from tests.builders import Made, write
from tests.imaging.scans import check_with_dciodvfy, scan

VOXEL = abs(np.linalg.det(AFFINE[:3, :3])) / 1000  # ml
As = Callable[[str], AnnotationProject]


@pytest.fixture
def livers(archive: Archive, series: str, settings: Settings, tmp_path: Path) -> Iterator[As]:
    """Yield a function that opens the project as a person does; two draw each of two series, rita reviews."""
    other = scan(values(), AFFINE, PatientID="P2", SeriesInstanceUID="1.2.5", StudyInstanceUID="1.2.4")
    archive.import_paths(write(tmp_path / "other", other))
    items = [Item(Resource.parse(series), patient="P1"), Item(other_series(other), patient="P2")]
    Cohorts(settings).save("chest", items, {})
    archive.make_project(
        "livers",
        "chest",
        "segment the liver",
        segments=["liver", "lesion=SCT:52988006:Lesion"],
        threshold=0.5,
        annotators=["anna", "bert"],
        reviewers=["rita"],
        annotations=2,
        review=True,
    )
    opened: list[Archive] = []

    def as_(person: str) -> AnnotationProject:
        opened.append(Archive(archive.local, replace(settings, person=person)))
        return opened[-1].project("livers")

    yield as_


def other_series(made: list[Made]) -> Resource:
    return Resource(made[0].study, made[0].series)


def draw(
    archive: Archive,
    series: str,
    *,
    shift: int = 0,
    name: str = "liver",
    creator: str = "",
    lesion: bool = False,
) -> Resource:
    """Save a segmentation of a box, as the viewer does."""
    array = np.zeros((2, *SHAPE), np.uint8)
    array[0, 1:4, 2:7, 3 + shift : 9 + shift] = 1
    array[1, 2, 3:5, 4:6] = lesion
    made = Segmentation.from_array(array, archive.volume(series), names=[name, "lesion"], algorithm="MANUAL")
    return replace(made, creator=creator).save()


@pytest.mark.slow
def test_two_people_draw_one_reviews_and_the_export_is_right(
    archive: Archive, series: str, livers: As, tmp_path: Path
) -> None:
    anna, bert, rita = livers("anna"), livers("bert"), livers("rita")
    mine = anna.take()
    assert mine is not None and anna.name_of(mine) == "1a"
    theirs = bert.take("1b")
    assert theirs is not None
    with pytest.raises(CaseRefused, match="no segmentation of case 1a in the archive"):
        anna.submit("1a")
    draft = draw(archive, series)  # by a viewer whose user has not set a name
    with pytest.raises(CaseRefused, match="names anna as its creator"):
        anna.submit("1a")
    submitted = anna.submit("1a", draft)
    assert submitted.result is not None and submitted.result != draft  # one more, which names her
    drawn = draw(archive, series, shift=1, creator="bert", lesion=True)
    assert bert.submit("1b").result == drawn  # as it is
    with pytest.raises(CaseRefused, match="submitted for another case"):
        bert.take("2b")
        bert.submit("2b", submitted.result)
    review = rita.take()
    assert review is not None and rita.name_of(review) == "1a"
    rita.send_back("1a", "One column too far to the right.")
    again = anna.take()
    assert again is not None and again.note.startswith("One column")
    with pytest.raises(CaseRefused, match="Nothing was saved for case 1a since"):
        anna.submit("1a")
    draw(archive, series, creator="anna")
    anna.submit("1a")
    rita.accept("1a")
    rita.accept("1b")

    rows = anna.agreement().rows
    assert [(row["case"], row["segment"], row["first"], row["second"]) for row in rows] == [
        (1, "liver", "anna", "bert"),
        (1, "lesion", "anna", "bert"),
    ]
    liver, lesion = rows
    # Two boxes of 3 x 5 x 6 voxels, one moved by one column.
    assert liver["dice"] == pytest.approx(2 * 75 / 180)
    assert liver["first_volume_ml"] == liver["second_volume_ml"] == pytest.approx(90 * VOXEL)
    assert liver["distance_95_mm"] == pytest.approx(0.6)
    assert (lesion["dice"], lesion["distance_95_mm"], lesion["remark"]) == (0.0, None, "Not drawn by both.")

    written = rita.export(tmp_path / "out")
    assert (written.decided, written.problems) == (2, ())
    with (tmp_path / "out" / "cases.csv").open(encoding="utf-8", newline="") as file:
        cases = list(csv.DictReader(file))
    assert [(row["case"], row["state"], row["annotator"], row["reviewer"]) for row in cases] == [
        ("1a", "done", "anna", "rita"),
        ("1b", "done", "bert", "rita"),
        ("2a", "open", "", ""),
        ("2b", "taken", "bert", ""),
    ]
    for row, person, millilitres in ((cases[0], "anna", 90 * VOXEL), (cases[1], "bert", 90 * VOXEL)):
        segmentation = hd.seg.segread(tmp_path / "out" / row["segmentation"])
        assert segmentation.ContentCreatorName == person
        assert segmentation.SOPInstanceUID == row["SOPInstanceUID"]
        report = hd.sr.srread(tmp_path / "out" / row["report"])
        (observer,) = (
            item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121008"
        )
        assert str(observer.PersonName).rstrip("^") == person
        first = report.content.get_volumetric_roi_measurement_groups()[0]
        check_with_dciodvfy((tmp_path / "out" / row["report"]).read_bytes(), tmp_path)
        (measured,) = first.get_measurements()
        assert float(measured.value) == pytest.approx(1000 * millilitres, rel=1e-6)
        assert measured.unit.value == "mm3"
        evidence = pydicom.dcmread(tmp_path / "out" / row["report"]).CurrentRequestedProcedureEvidenceSequence
        named = {
            item.ReferencedSOPInstanceUID
            for study in evidence
            for one in study.ReferencedSeriesSequence
            for item in one.ReferencedSOPSequence
        }
        assert segmentation.SOPInstanceUID in named
    with (tmp_path / "out" / "history.csv").open(encoding="utf-8", newline="") as file:
        notes = [row["note"] for row in csv.DictReader(file) if row["event"] == "sent back"]
    assert notes == ["One column too far to the right."]
    with pytest.raises(InvalidInput, match="not an empty folder"):
        rita.export(tmp_path / "out")
    rita.export(tmp_path / "parquet", "parquet")
    import pandas as pd

    table = pd.read_parquet(tmp_path / "parquet" / "agreement.parquet")
    assert list(table["dice"]) == [pytest.approx(2 * 75 / 180), 0.0]


@pytest.mark.slow
def test_a_reviewer_accepts_what_they_have_looked_at(
    archive: Archive, series: str, livers: As, tmp_path: Path
) -> None:
    anna, rita = livers("anna"), livers("rita")
    anna.take("1a")
    first = draw(archive, series, creator="anna")
    anna.submit("1a")
    rita.send_back("1a", "Once more.")
    anna.take("1a")
    second = draw(archive, series, shift=1, creator="anna")
    anna.submit("1a")
    with pytest.raises(CaseRefused, match="Case 1a was submitted again since you looked at it"):
        rita.accept("1a", seen=first)
    assert rita.cases()[0].state is CaseState.SUBMITTED  # nothing was taken by what was refused
    archive.delete(second)
    with pytest.raises(
        CaseRefused, match=r"segmentation of case 1a, .* is not in the archive. Import or pull"
    ):
        rita.accept("1a", seen=second)
    rita.send_back("1a", "It is gone.")
    anna.take("1a")
    anna.submit("1a", draw(archive, series, creator="anna"))
    assert rita.accept("1a").state is CaseState.DONE


@pytest.mark.slow
def test_annotations_on_grids_that_differ_are_compared(archive: Archive, series: str, livers: As) -> None:
    sitk = pytest.importorskip("SimpleITK")
    anna, bert = livers("anna"), livers("bert")
    anna.take("1a")
    draw(archive, series, creator="anna")
    anna.submit("1a")
    bert.take("1b")
    volume = archive.volume(series)
    finer = volume.geometry.affine.copy()  # slices of a third: k turns into 3 k + 1 at their centres
    finer[:3, 0] /= 3
    finer[:3, 3] -= finer[:3, 0]
    shape = (3 * SHAPE[0], *SHAPE[1:])
    theirs = np.zeros(shape, np.uint8)
    theirs[5:14, 2:7, 4:9] = 1
    made = Segmentation.from_array(theirs, VolumeGeometry(shape, finer), names=["liver"], algorithm="MANUAL")
    bert.submit("1b", replace(made, creator="bert").save(archive, series))

    liver, lesion = anna.agreement().rows
    assert (liver["first_volume_ml"], liver["second_volume_ml"]) == (
        pytest.approx(90 * VOXEL),
        pytest.approx(np.count_nonzero(theirs) * VOXEL / 3),
    )
    mine = np.zeros(SHAPE, np.uint8)
    mine[1:4, 2:7, 3:9] = 1
    images = []
    for array, spacing in ((mine, 3.0), (theirs, 1.0)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, spacing))
        image.SetOrigin((0.0, 0.0, 1.0 if spacing == 3.0 else 0.0))
        images.append(image)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(
        images[0], sitk.Resample(images[1], images[0], sitk.Transform(), sitk.sitkNearestNeighbor)
    )
    assert liver["dice"] == pytest.approx(overlap.GetDiceCoefficient())
    assert "resample" in str(liver["remark"])
    assert (lesion["dice"], lesion["first_volume_ml"], lesion["second_volume_ml"]) == (None, 0, 0)


@pytest.mark.slow
def test_what_is_submitted_fits_the_task(archive: Archive, series: str, livers: As) -> None:
    anna = livers("anna")
    anna.take()
    nothing = draw(archive, series, name="spleen", creator="anna")
    with pytest.raises(CaseRefused, match=r"lacks liver, lesion: 0 of 2 segments are drawn, .* 50% of them"):
        anna.submit("1a")
    with pytest.raises(CaseRefused, match="not drawn on the series of case 2a"):
        anna.release("1a")
        anna.take("2a")
        anna.submit("2a", nothing)
    half = draw(archive, series, name="LIVER", creator="anna")
    anna.take("1a")
    assert anna.submit("1a").result == half
    assert anna.cases()[0].state is CaseState.SUBMITTED


@pytest.mark.slow
def test_codes_name_a_segment_whatever_it_is_called(archive: Archive, series: str, livers: As) -> None:
    anna = livers("anna")
    anna.take()
    draw(archive, series, name="Liver_1", creator="anna")  # whose codes are guessed from its name
    assert anna.submit("1a").state is CaseState.SUBMITTED


@pytest.mark.slow
def test_a_version_is_later_than_the_one_it_was_made_of_whatever_the_clock_says(
    archive: Archive, series: str, livers: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SetBack(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> SetBack:
            return cls(2020, 1, 2, tzinfo=tz)

    anna = livers("anna")
    anna.take("1a")
    first = draw(archive, series, creator="anna")
    monkeypatch.setattr("dicomdock.imaging.authoring.datetime", SetBack)
    found = archive.segmentation(first)
    smaller = replace(found.segments[0], mask=Mask.of(found.segments[0].mask.whole(SHAPE)[::-1]))
    second = replace(found, segments=(smaller, *found.segments[1:]), creator="anna").save()
    assert anna.submit("1a").result == second


@pytest.mark.slow
def test_who_submits_the_draft_of_a_tool_has_accepted_it(archive: Archive, series: str, livers: As) -> None:
    anna = livers("anna")
    anna.take()
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 2:7, 3:9] = 1
    proposed = Segmentation.from_array(array, archive.volume(series), names=["liver"], algorithm="AUTOMATIC")
    submitted = anna.submit("1a", replace(proposed, draft=True).save())
    assert submitted.result is not None
    (part,) = archive.retrieve(submitted.result)
    assert part.path is not None
    written = pydicom.dcmread(part.path)
    assert (written.ContentCreatorName, written.SOPInstanceStatus) == ("anna", "AO")
    assert written.SOPAuthorizationComment == "Accepted by anna"
    assert written.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"


@pytest.mark.slow
@pytest.mark.parametrize("draft", [False, True])
def test_what_was_stored_before_a_process_ended_is_submitted_and_not_stored_again(
    archive: Archive, series: str, livers: As, monkeypatch: pytest.MonkeyPatch, draft: bool
) -> None:
    class Killed(Exception):
        pass

    def killed(*_: object) -> None:
        raise Killed

    anna = livers("anna")
    anna.take("1a")
    unnamed = replace(archive.segmentation(draw(archive, series)), draft=draft, origin=None).save()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Projects, "submit", killed)
        anna.submit("1a", unnamed)
    stored = {one.resource for one in archive.instances(unnamed.study)}
    submitted = anna.submit("1a", unnamed)
    assert submitted.result in stored
    assert {one.resource for one in archive.instances(unnamed.study)} == stored


@pytest.mark.slow
def test_drafts_are_submitted_by_who_ran_the_tool_or_by_anyone_where_nobody_did(
    archive: Archive, series: str, livers: As, settings: Settings
) -> None:
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 2:7, 3:9] = 1

    def propose(creator: str, tool: str) -> Resource:
        made = Segmentation.from_array(
            array, archive.volume(series), names=["liver"], algorithm="AUTOMATIC", algorithm_name=tool
        )
        return replace(made, draft=True, creator=creator).save()

    anna, bert = livers("anna"), livers("bert")
    anna.take("1a")
    bert.take("1b")
    propose("anna", "grey")
    with pytest.raises(CaseRefused, match="names bert as its creator"):
        bert.submit("1b")  # anna's is hers, whether she has accepted it or not
    batch = propose("", "grey")
    submitted = bert.submit("1b").result
    assert submitted is not None
    before = archive.segmentation(submitted)
    assert before.origin is not None and not before.draft
    assert bert.changes("1b").draft == batch  # type: ignore[union-attr]
    rita = livers("rita")
    rita.send_back("1b", "Once more.")
    bert.take("1b")
    with pytest.raises(CaseRefused, match="Nothing was saved for case 1b since"):
        bert.submit("1b")
    mine = archive.accept_draft(propose("bert", "other"), "bert")  # as the viewer's Accept does
    assert bert.submit("1b").result == mine
    propose("rita", "third")
    assert anna.submit("1a").state is CaseState.SUBMITTED  # her own


def edited(archive: Archive, resource: Resource, liver: np.ndarray) -> Resource:
    """Save a new version of a segmentation with another liver, as the viewer does."""
    found = archive.segmentation(resource)
    first = replace(found.segments[0], mask=Mask.of(liver), algorithm="SEMIAUTOMATIC")
    return replace(found, segments=(first, *found.segments[1:])).save()


@pytest.mark.slow
def test_a_reviewer_sees_what_was_changed_by_hand_of_the_draft(
    archive: Archive, series: str, livers: As
) -> None:
    anna, bert, rita = livers("anna"), livers("bert"), livers("rita")
    anna.take("1a")
    bert.take("1b")
    with pytest.raises(CaseRefused, match="Nothing was submitted for case 1a yet"):
        rita.changes("1a")
    proposed = np.zeros((2, *SHAPE), bool)
    proposed[0, 1:4, 2:7, 3:9] = True
    proposed[1, 2, 3:5, 4:6] = True
    made = Segmentation.from_array(
        proposed,
        archive.volume(series),
        names=["liver", "lesion"],
        algorithm="AUTOMATIC",
        algorithm_name="grey 1.2",
    )
    draft = replace(made, draft=True).save()
    by_hand = proposed[0].copy()
    by_hand[1] = False
    second = edited(archive, draft, by_hand)
    by_hand[2, 2:7, 9] = True
    anna.submit("1a", edited(archive, second, by_hand))

    found = rita.changes("1a")
    assert found is not None
    assert (found.draft, found.tool) == (draft, "grey 1.2")
    liver, lesion = found.segments
    before, after = proposed[0], by_hand
    assert (liver.label, liver.added, liver.removed) == (
        "liver",
        np.count_nonzero(after & ~before),
        np.count_nonzero(before & ~after),
    )
    assert liver.changed == np.count_nonzero(before ^ after)
    assert liver.before_ml == pytest.approx(np.count_nonzero(before) * VOXEL)
    assert liver.after_ml == pytest.approx(np.count_nonzero(after) * VOXEL)
    assert (lesion.changed, lesion.words) == (0, f"lesion: {4 * VOXEL:.3g} ml, as proposed")
    assert found.words == "Proposed by grey 1.2; 1 of 2 segments changed by hand."

    bert.submit("1b", edited(archive, draw(archive, series), by_hand))
    assert rita.changes("1b") is None  # no tool proposed it
    with pytest.raises(NotFound):
        rita.changes("7a")
    archive.delete(second)
    with pytest.raises(NotInArchive, match="not known what was changed by hand"):
        rita.changes("1a")


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["", "=SCT:1:x", "a=SCT:1", "a=SCT:1:x^y", "n" * 65])
def test_segments_are_names_or_codes(archive: Archive, livers: As, wrong: str) -> None:
    with pytest.raises(InvalidInput):
        archive.make_project("other", "chest", "task", segments=[wrong])
    with pytest.raises(NotFound):
        archive.make_project("other", "nothing", "task")
    with pytest.raises(NotFound):
        archive.project("other")


@pytest.mark.slow
def test_a_project_without_people_is_its_makers_and_has_the_images_alone(
    archive: Archive, settings: Settings, livers: As
) -> None:
    drawn = [
        Item(Resource("1.2.4", f"1.2.5.{number}"), modality=kind) for number, kind in ((1, "SEG"), (2, "SR"))
    ]
    cohorts = Cohorts(settings)
    cohorts.save("chest", [*cohorts.items("chest"), *drawn], {})
    made = archive.make_project("mine", "chest", "look at it")
    assert made.definition.version == 2
    assert made.definition.annotators == (settings.person_name,)
    taken = made.take()
    assert taken is not None and taken.person == settings.person_name
    assert made.remove() == 2
    assert archive.projects() == ["livers"]
