"""``key-images`` and ``presentation`` from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.builders import write
from tests.imaging.scans import scan

from dicomdock.archive import Archive
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

VALUES = (np.arange(3 * 8 * 10) * 7).reshape(3, 8, 10).astype(np.int16)


@pytest.fixture
def images(run, tmp_path):
    made = scan(VALUES)
    assert run("import", *write(tmp_path / "made", made)).code == 0
    return [f"{one.study}/{one.series}/{one.instance}" for one in made]


@pytest.mark.slow
def test_key_images_from_writing_to_lost_images(run, images):
    written = run(
        "key-images", "write", *images[:2], "--title", "For Teaching", "--description", "Cyst", "--json"
    )
    assert written.code == 0, written.err
    (found,) = run("key-images", "list", images[0].split("/")[0], "--json").json
    assert (found["title"], found["description"], found["images"]) == ("For Teaching", "Cyst", images[:2])
    assert found["resource"] == written.json["resource"]
    assert run("remove", images[1]).code == 0
    shown = run("key-images", "show", written.json["resource"])
    assert shown.code == 0
    assert images[0] in shown.out
    assert "1 of the 2 images that" in shown.err
    wrong = run("key-images", "write", images[0], "--title", "Nice")
    assert (wrong.code, "The title is one of Of Interest" in wrong.err) == (2, True)
    series = run("key-images", "write", "/".join(images[0].split("/")[:2]))
    assert (series.code, "is not an instance" in series.err) == (2, True)


@pytest.mark.slow
def test_a_damaged_selection_is_named_and_the_others_listed(run, images, home):
    study = images[0].split("/")[0]
    first, second = (run("key-images", "write", image, "--json").json["resource"] for image in images[:2])
    with Archive.open(Settings.load()) as archive:
        paths = [archive.instances(Resource.parse(one))[0].path for one in (first, second)]
    for path, others, code in zip(paths, [[second], []], [3, 1], strict=True):
        data = bytearray(path.read_bytes())
        data[-20] ^= 4
        path.write_bytes(data)
        listed = run("key-images", "list", study, "--json")
        assert listed.code == code, listed.err
        assert [one["resource"] for one in listed.json if "error" not in one] == others
        assert f"{first}: its file is damaged or missing." in listed.err
        assert first in [one["resource"] for one in listed.json if "damaged" in one.get("error", "")]
        assert "import the same instances again" in listed.err


def test_a_search_for_more_than_the_index_has_names_what_is_damaged(run, images):
    path_of = images[0].split("/")
    with Archive.open(Settings.load()) as archive:
        path = archive.instances(Resource.parse(images[0]))[0].path
    asked = ("search", "instances", f"SOPInstanceUID={path_of[2]}", "--local", "--json")
    field = ("--field", "ImageOrientationPatient")
    (whole,) = run(*asked, *field).json["matches"]
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    found = run(*asked, *field)
    (match,) = found.json["matches"]
    assert "ImageOrientationPatient" in whole
    assert "ImageOrientationPatient" not in match
    assert match["SOPInstanceUID"] == path_of[2]
    assert images[0] in found.err
    assert "damaged or missing" in found.err
    assert "damaged" not in run(*asked).err  # the index has all of it
    path.unlink()
    assert images[0] in run(*asked, *field).err


@pytest.mark.slow
def test_a_presentation_state_is_written_and_applied(run, images, tmp_path):
    options = ("--window", "300,201", "--area", "3,2,8,6", "--note", "4,5,Cyst, large")
    written = run("presentation", "write", images[0], *options, "--json")
    assert written.code == 0, written.err
    shown = run("presentation", "show", written.json["resource"], "--json").json
    assert shown["windows"] == [{"center": 300, "width": 201, "function": "LINEAR"}]
    assert (shown["areas"], shown["notes"], shown["images"]) == ([[3, 2, 8, 6]], ["Cyst, large"], images[:1])
    picture = tmp_path / "picture.png"
    rendered = run("presentation", "render", written.json["resource"], picture)
    assert rendered.code == 0, rendered.err
    due = np.clip((VALUES[0, 1:6, 2:8] - 199.5) / 200, 0, 1) * 255
    assert np.abs(np.asarray(Image.open(picture)) - due).max() <= 1
    again = run("presentation", "render", written.json["resource"], picture)
    assert (again.code, "exists already" in again.err) == (2, True)
    wrong = run("presentation", "write", images[0], "--window", "40")
    assert (wrong.code, "takes 2 numbers" in wrong.err) == (2, True)
    assert run("remove", images[0]).code == 0
    lost = run("presentation", "render", written.json["resource"], tmp_path / "other.png")
    assert (lost.code, "None of the images" in lost.err) == (1, True)
