"""Models of MONAI Label as tools: listed, their labels shown, run, and corrected labels given back."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pydicom
import pytest
from tests.api.conftest import archive, made, series  # noqa: F401 - fixtures
from tests.api.conftest import values as grey
from tests.cli.conftest import Run
from tests.servers.canned import Answer, answering
from tests.servers.imitations.monai_label import MonaiLabel

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource


@pytest.mark.slow
def test_a_model_from_the_list_to_a_submitted_label(
    run: Run,
    series,  # noqa: F811
    settings: Settings,
    tmp_path,
):
    uid = Resource.parse(series).series
    with answering(server := MonaiLabel(images=(uid, "case_7"), token="t0ken-of-it")) as far:
        refused = run("tool", "add", "organs", "--monai-label", far.url)
        assert refused.code == 4 and "dicomdock tool token" in refused.err
        words = ("tool", "add", "organs", "--monai-label", far.url, "--token-stdin")
        listed = run(*words, stdin="t0ken-of-it\n")
        assert listed.code == 2 and "greys  segmentation  2 labels  Labels by grey values" in listed.out
        assert "it has: greys, edit, grow, slide, nameless" in listed.err
        assert "no model 'other'" in run(*words, "--model", "other", stdin="t0ken-of-it\n").err
        assert "2 dimensions" in run(*words, "--model", "slide", stdin="t0ken-of-it\n").err
        assert "declare them in a file" in run(*words, "--model", "nameless", stdin="t0ken-of-it\n").err
        shown = run(*words, "--model", "greys", stdin="t0ken-of-it\n")
        assert shown.code == 2 and "--yes takes them" in shown.err  # nobody is there to be asked
        assert "1 liver: Liver (SCT 10200004)" in shown.out
        assert "2 left kidney: Kidney, Left (SCT 64033007)" in shown.out
        assert "None yet" in run("tool", "list").out
        assert run(*words, "--model", "greys", "--yes", stdin="t0ken-of-it\n").code == 0

        ran = run("tool", "run", "organs", series, "--json")
        assert ran.code == 0, ran.err
        (made,) = ran.json["segmentations"]
        array = grey()
        labels = (array > np.quantile(array, 0.5)).astype(int) + (array > np.quantile(array, 0.9))
        counts = {one["label"]: one["voxels"] for one in made["segments"]}
        assert counts == {"liver": (labels == 1).sum(), "left kidney": (labels == 2).sum()}
        server.form = True
        assert run("tool", "run", "organs", series).code == 0

        assert run("tool", "next", "organs", "--json").json == {"image": uid, "resource": series}
        assert run("tool", "submit", "organs", made["resource"]).code == 0
        (tmp_path / "submitted.nii.gz").write_bytes(server.labels[f"{uid} final"])
        submitted = np.asarray(nibabel.load(tmp_path / "submitted.nii.gz").dataobj)
        np.testing.assert_array_equal(submitted.transpose(), labels)
        assert run("tool", "next", "organs").out == "case_7 (not in the archive)\n"
        server.labels["case_7 final"] = b""
        assert "no further image" in run("tool", "next", "organs").out
    gone = run("tool", "run", "organs", series)
    assert gone.code == 1 and "Traceback" not in gone.err
    with Archive.open(settings) as local:
        assert len(local.instances(Resource(Resource.parse(series).study))) == 6 + 2


@pytest.mark.slow
def test_points_are_sent_as_voxels_of_the_image(run: Run, series, settings: Settings):  # noqa: F811
    """What the imitation sets are the voxels at the indices that it was sent; numpy says which they are."""
    with Archive.open(settings) as local:
        paths = [pydicom.dcmread(part.path) for part in local.retrieve(Resource.parse(series))]
    first = min(paths, key=lambda one: one.ImagePositionPatient[2])
    step, origin = (
        [float(one) for one in first.PixelSpacing][::-1],
        np.array(first.ImagePositionPatient, float),
    )
    across = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    inside = origin + 5 * step[0] * across[0] + 2 * step[1] * across[1]  # column 5, row 2 of the first slice
    other = origin + 7 * step[0] * across[0] + 3 * step[1] * across[1]
    here, there, far = (",".join(f"{one:.4f}" for one in point) for point in (inside, other, inside + 9999))
    with answering(server := MonaiLabel()) as url_of:
        for name in ("edit", "grow", "greys"):
            added = run("tool", "add", name, "--monai-label", url_of.url, "--model", name, "--yes")
            assert added.code == 0, added.err
        ran = run(
            "tool",
            "run",
            "edit",
            series,
            "--point",
            f"liver={here}",
            "--point",
            f"left kidney={there}",
            "--json",
        )
        assert ran.code == 0, ran.err
        assert server.params["label"] == "liver"
        ((made,),) = (ran.json["segmentations"],)
        assert {one["label"]: one["voxels"] for one in made["segments"]} == {"liver": 1, "left kidney": 1}
        with Archive.open(settings) as local:
            (part,) = local.retrieve(Resource.parse(made["resource"]))
            drawn = pydicom.dcmread(part.path)
        frames = drawn.pixel_array.reshape(-1, drawn.Rows, drawn.Columns)
        segment = [
            f.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            for f in drawn.PerFrameFunctionalGroupsSequence
        ]
        at = [
            f.PlanePositionSequence[0].ImagePositionPatient[2] for f in drawn.PerFrameFunctionalGroupsSequence
        ]
        assert at == [origin[2]] * 2
        assert [tuple(map(int, np.argwhere(frame)[0])) for frame in frames] == [(2, 5), (3, 7)]
        assert segment == [1, 2]

        grown = ("tool", "run", "grow", series, "--point", f"liver={here}", "--point", f"background={there}")
        assert run(*grown).code == 0
        assert (len(server.params["foreground"]), len(server.params["background"])) == (1, 1)
        for name, points, sentence in (
            ("greys", [f"liver={here}"], "takes no points"),
            ("edit", [f"lung={here}"], "no label 'lung'"),
            ("edit", [f"liver={far}"], "lies outside of the images"),
            ("edit", ["liver=1,2"], "write LABEL=X,Y,Z"),
            ("edit", ["liver=1,2,nan"], "write LABEL=X,Y,Z"),
            ("grow", [f"background={here}"], "give it one or more of one label"),
            ("grow", [], "give it one or more of one label"),
        ):
            refused = run("tool", "run", name, series, *(word for one in points for word in ("--point", one)))
            assert (refused.code != 0, sentence in refused.err) == (True, True), refused.err


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"<html>", "does not answer as MONAI Label does"),
        (b"[1]", "does not answer as MONAI Label does"),
        (b'{"models": [1]}', "does not list models"),
        (b"[" * 100_000, "does not answer as MONAI Label does"),
        (json.dumps({"models": {"a": {"dimension": "x", "labels": {"b": 1e400}}}}).encode(), "Name a model"),
    ],
)
def test_answers_of_something_else(run: Run, body, sentence):
    with answering(lambda _: Answer(body=body, headers={"Content-Type": "application/json"})) as far:
        refused = run("tool", "add", "organs", "--monai-label", far.url)
    assert refused.code in (1, 2) and sentence in refused.err


@pytest.mark.slow
def test_an_inference_without_a_label_map(run: Run, series, settings: Settings):  # noqa: F811
    model = MonaiLabel()

    def reply(request):
        answer = model(request)
        return Answer(body=b' {"params": {}}') if "/infer/" in request.path else answer

    with answering(reply) as far:
        assert run("tool", "add", "o", "--monai-label", far.url, "--model", "greys", "--yes").code == 0
        ran = run("tool", "run", "o", series)
    assert ran.code == 1 and "gave no label map; nothing was stored" in ran.err
