"""Every method takes a resource as text, acts when it is called, and is what docs/python.md says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

import dicomdock
from dicomdock import Archive, Segmentation, Volume
from dicomdock.api.instances import read_single
from dicomdock.errors import InvalidInput, NotFound
from tests.api.conftest import labels
from tests.builders import document, made, write

DOCS = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.slow
def test_text_and_value_are_the_same_resource(archive, series, tmp_path):
    value = dicomdock.Resource.parse(series)
    for method in (archive.instances, archive.present):
        assert method(series) == method(value) != []
    assert [part.resource for part in archive.retrieve(series)] == [
        one.resource for one in archive.instances(value)
    ]
    assert len(list(archive.metadata(series))) == 6
    assert list(archive.verify(series)) == list(archive.verify(value))
    archive.pin(series)
    assert all(one.pinned for one in archive.instances(series))
    archive.unpin(series)
    assert not any(one.pinned for one in archive.instances(series))
    assert (
        len(archive.export(series, tmp_path / "one")) == len(archive.export([value], tmp_path / "two")) == 6
    )
    assert len(list((tmp_path / "one").rglob("*.dcm"))) == 6
    one = archive.instances(series)[0].resource
    assert archive.remove(str(one)) == 1
    archive.delete(series)
    assert archive.summary().instances == 0


@pytest.mark.parametrize(
    "method", ["instances", "present", "retrieve", "metadata", "remove", "pin", "unpin", "export", "verify"]
)
def test_text_that_is_not_a_resource_is_refused(archive, tmp_path, method):
    more = (tmp_path / "out",) if method == "export" else ()
    with pytest.raises(InvalidInput):
        list(getattr(archive, method)("no/re/source/at all", *more))


def test_what_is_not_there_is_not_found(archive, tmp_path):
    for method in (archive.remove, archive.pin, archive.unpin):
        with pytest.raises(NotFound):
            method("1.2.3")
    with pytest.raises(NotFound):
        archive.export("1.2.3", tmp_path / "out")


def test_an_import_is_done_when_the_call_returns(archive, tmp_path):
    made = document()
    report = archive.import_paths(str(write(tmp_path / "made", [made])[0]))
    assert (report.stored, archive.summary().instances) == (1, 1)
    assert list(report) == [report]
    assert archive.import_paths([tmp_path / "made"]).identical == 1


@pytest.mark.slow
def test_images_may_be_given_by_position(archive, series):
    volume = archive.volume(series)
    segmentation = Segmentation.from_array(labels(), volume.geometry, names=["liver"])
    saved = segmentation.save(archive, series)
    assert archive.present(saved)
    with pytest.raises(InvalidInput, match="images="):
        segmentation.save(series)


def documented() -> list[tuple[str, str, str]]:
    """Return the class, name and parameters of each signature in the tables of the documentation."""
    found = []
    owner = ""
    for line in DOCS.read_text("utf-8").splitlines():
        if line.startswith("## "):
            owner = line.removeprefix("## ").strip()
        if line.startswith("| `"):
            cell = line.split("|")[1]
            found += [(owner, *one) for one in re.findall(r"`(?:\w+\.)?(\w+)\(([^`]*)\)`", cell)]
    return found


@pytest.mark.parametrize(("owner", "name", "parameters"), documented())
def test_every_documented_signature_exists(owner, name, parameters):
    classes = {"Archive": Archive, "Volume": Volume, "Segmentation": Segmentation}
    at = classes.get(owner)
    assert at is not None
    if not hasattr(at, name):
        at = dicomdock.VolumeGeometry
    signature = inspect.signature(getattr(at, name))
    stated = [one.strip() for one in re.split(r",\s*(?![^{]*})", parameters) if one.strip()]
    for number, one in enumerate(stated):
        if one == "..." or one.endswith("=..."):
            continue
        word, _, default = one.partition("=")
        word = word.split(" or ")[0].strip('"')
        variadic = word.startswith("*")
        actual = signature.parameters.get(word.lstrip("*"))
        if actual is None and '"' in one:  # values that may be given, as "nifti" or "nrrd"
            continue
        assert actual is not None, f"{name} has no parameter {word}"
        assert (actual.kind is inspect.Parameter.VAR_POSITIONAL) == variadic
        if default not in ("", "{}"):
            assert actual.default == ast.literal_eval(default)
        if not default and not variadic:
            names = [key for key in signature.parameters if key != "self"]
            assert names[number] == word


@pytest.mark.slow
def test_a_segmentation_of_another_frame_of_reference_is_remarked(archive, series, tmp_path):
    place = archive.segmentation  # reads what is stored below
    volume = archive.volume(series)
    drawn = Segmentation.from_array((volume.array > 100).astype(np.uint8), volume, names=["bone"])
    saved = drawn.save()
    assert place(saved).remarks == ()
    dataset = read_single(archive, saved)
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    archive.import_paths(write(tmp_path / "other", [made(dataset)]))
    (remark,) = place(f"{saved.study}/{saved.series}/{dataset.SOPInstanceUID}").remarks
    assert "another frame of reference" in remark
