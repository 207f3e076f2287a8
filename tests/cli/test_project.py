"""``project``: three people, each with a home of their own, and one archive."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.conftest import AFFINE, SHAPE, values
from tests.api.test_project import VOXEL, draw, edited
from tests.builders import write
from tests.cli.conftest import Ran, Run
from tests.imaging.scans import scan

from dicomdock import Archive, Resource
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.settings import Settings

As = Callable[..., Ran]


@pytest.fixture
def series(settings: Settings, run: Run, tmp_path: Path) -> str:
    made = scan(values(), AFFINE, PatientID="P1", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.5")
    write(tmp_path / "made", made)
    assert run("import", tmp_path / "made").code == 0
    assert run("cohort", "make", "chest", "--local", "PatientID=P1").code == 0
    return "1.2.4/1.2.5"


@pytest.fixture
def as_(run: Run, settings: Settings, tmp_path: Path) -> As:
    """Return a function that runs ``project`` as a person does on their machine."""

    def as_(person: str, *words: object) -> Ran:
        config = tmp_path / person / "config"
        config.mkdir(0o700, parents=True, exist_ok=True)
        (config / "settings.toml").write_text(f'person = "{person}"\narchive = "{settings.archive}"\n')
        return run("--home", tmp_path / person, "project", *words)

    return as_


@pytest.mark.slow
def test_a_project_is_walked_by_commands(
    run: Run, as_: As, settings: Settings, series: str, tmp_path: Path
) -> None:
    people = ("--annotator", "anna", "--reviewer", "rita")
    made = run("project", "make", "livers", "chest", "segment the liver", "--segment", "liver", *people)
    assert (made.code, "Project livers: 1 case of cohort chest" in made.out) == (0, True), made.err
    assert run("project", "list", "--json").json == {"projects": ["livers"]}
    assert "bert" in run("project", "add", "livers", "--annotator", "bert").out
    assert run("project", "assign", "livers", "anna", "1", "--json").json["cases"] == ["1"]
    nothing = run("project", "assign", "livers", "anna")
    assert (nothing.code, "Name the cases" in nothing.err) == (2, True)
    refused = as_("bert", "next", "livers", "1")
    assert (refused.code, "Case 1 is assigned to anna." in refused.err) == (1, True)
    assert "Nothing is left for you" in as_("rita", "next", "livers").out
    taken = as_("anna", "next", "livers")
    for words in ("Case 1 is yours to draw: segment the liver.", "Segments: liver.", f"Images: {series}"):
        assert words in taken.out
    assert not taken.err
    assert as_("anna", "release", "livers", "1", "--json").json["state"] == "open"
    assert as_("anna", "next", "livers", "--json").json["state"] == "taken"
    assert as_("rita", "withdraw", "livers", "1").out == "Case 1 is open.\n"
    lost = as_("anna", "submit", "livers", "1")
    assert (lost.code, "rita withdrew it. What you saved is in the archive." in lost.err) == (1, True)
    again = as_("anna", "next", "livers")
    assert (again.code, "withdrawn from you" in again.err) == (0, True)
    failed = as_("anna", "submit", "livers", "1")
    assert (failed.code, "Draw and save one" in failed.err) == (1, True)
    with Archive.open(settings) as archive:
        draw(archive, series)
    assert as_("anna", "submit", "livers", "1").code == 0
    review = as_("rita", "next", "livers")
    assert "Case 1 is yours to review" in review.out
    assert "Drawn by anna: 1.2.4/" in review.out
    assert "Proposed" not in review.out
    assert "No tool proposed" in as_("rita", "changes", "livers", "1").out
    assert as_("rita", "send-back", "livers", "1", "").code == 2
    assert "goes back to anna" in as_("rita", "send-back", "livers", "1", "Once more.").out
    again = as_("anna", "next", "livers").out
    assert "Case 1 is yours to draw" in again
    assert "rita sent it back: Once more." in again
    with Archive.open(settings) as archive:
        drawn = archive.segmentation(draw(archive, series, shift=1))
        proposal = replace(drawn, draft=True, origin=None).save()
        liver = archive.segmentation(proposal).segments[0].mask.whole(SHAPE)
        liver[0, 0, :2] = True
        edited(archive, proposal, liver)
    assert as_("anna", "submit", "livers", "1", "--json").json["rounds"] == 2
    review = as_("rita", "next", "livers")
    (segment,) = as_("rita", "changes", "livers", "1", "--json").json["changes"]
    assert (segment["segment"], segment["added_voxels"], segment["removed_voxels"]) == ("liver", 2, 0)
    assert segment["before_ml"] == pytest.approx(90 * VOXEL)
    assert segment["after_ml"] == pytest.approx(92 * VOXEL)
    for out in (review.out, as_("rita", "changes", "livers", "1").out):
        assert "Proposed by a tool; 1 of 1 segments changed by hand." in out
        assert "voxels added: 2, removed: 0" in out
    assert as_("rita", "accept", "livers", "1").out.strip() == "Case 1 is done."
    status = run("project", "status", "livers", "--cases").out
    assert "all: 1 done" in status
    assert "1  done  anna" in status
    assert run("project", "status", "livers", "--json").json["people"]["bert"]["done"] == 0
    exported = run("project", "export", "livers", tmp_path / "out", "--json").json
    assert (exported["decided"], len(exported["tables"]), exported["problems"]) == (1, 3, [])
    with (tmp_path / "out" / "changes.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    numbers = [float(row[name]) for name in ("added_voxels", "removed_voxels", "before_ml", "after_ml")]
    assert numbers == pytest.approx([2, 0, 90 * VOXEL, 92 * VOXEL])
    assert (row["case"], row["annotator"], row["segment"], row["remark"]) == ("1", "anna", "liver", "")
    assert run("project", "agreement", "livers").out.strip() == "0 comparisons."
    assert run("project", "remove", "livers").code == 2
    assert run("project", "remove", "livers", "--yes", "--json").json["cases"] == 1
    assert run("project", "status", "livers").code == 1
    assert run("project", "next", "livers").code == 1


@pytest.mark.parametrize(
    ("server", "how"),
    [
        ("hospital", "pull 1.2.8/1.2.9 --server hospital"),
        ("", "pull 1.2.8/1.2.9 --server NAME"),
        ("s3://bucket/heads", "cohort pull far"),
    ],
)
def test_images_that_are_elsewhere_are_named_with_the_command_that_brings_them(
    run: Run, settings: Settings, server: str, how: str
) -> None:
    Cohorts(settings).save("far", [Item(Resource("1.2.8", "1.2.9"), server)], {})
    assert run("project", "make", "far", "far", "segment").code == 0
    taken = run("project", "next", "far")
    assert (taken.code, taken.err) == (0, f"They are not in the archive yet: dicomdock {how}\n")


@pytest.mark.slow
def test_two_draw_each_series_and_are_compared(run: Run, as_: As, settings: Settings, series: str) -> None:
    people = ("--annotator", "anna", "--annotator", "bert", "--twice", "--segment", "liver")
    assert run("project", "make", "both", "chest", "segment", *people, "--threshold", "2").code == 2
    assert run("project", "make", "both", "chest", "segment", *people).code == 0
    for person, shift in (("anna", 0), ("bert", 1)):
        case = as_(person, "next", "both", "--json").json["case"]
        with Archive.open(settings) as archive:
            drawn = draw(archive, series, shift=shift, creator=person)
        assert as_(person, "submit", "both", case, drawn).code == 0
    (row,) = run("project", "agreement", "both", "--json").json["rows"]
    assert row["dice"] == pytest.approx(150 / 180)
    told = run("project", "agreement", "both").out
    assert "1 liver: anna, bert: Dice 0.833; distance 0.1" in told
    assert "1 comparison." in told
