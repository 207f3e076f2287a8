"""Tools on a series: what they find is stored as a draft that says so, and nothing else is stored."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomdock import Archive
from dicomdock.api.tools import Job, run_on_series
from dicomdock.config.settings import Settings
from dicomdock.config.tools import Tool, ToolFolder, parse_tool
from dicomdock.config.trust import TrustStore
from dicomdock.dicom.resource import Resource
from dicomdock.errors import Cancelled, DicomdockError, InvalidInput, ProfileError, ToolError
from tests.api.conftest import values
from tests.imaging.scans import check_with_dciodvfy
from tests.servers.canned import Answer, Request, answering

SCRIPT = Path(__file__).parents[1] / "tools" / "threshold.py"
LABELS = '[labels]\n1 = "Liver"\n2 = {name = "left kidney", type = "SCT:64033007:Kidney"}\n3 = "Spleen"\n'

Declared = Callable[..., Tool]


@pytest.fixture
def declare(settings: Settings) -> Declared:
    """Return a function that declares the tool of the tests in one of its modes."""

    def declare(mode: str = "works", more: str = "", labels: str = LABELS) -> Tool:
        command = json.dumps([sys.executable, str(SCRIPT), mode, "{input}", "{output}"])
        text = f'name = "grey"\nversion = "1.2"\nmanufacturer = "Acme"\ncommand = {command}\n{more}\n{labels}'
        return ToolFolder(settings).add(text.encode(), "grey.toml")

    return declare


def segmentations(archive: Archive, series: str) -> int:
    study = Resource.parse(series).study
    return len(archive.instances(study)) - len(archive.instances(series))


def headers(archive: Archive, resource: Resource):
    (part,) = archive.retrieve(resource)
    return dcmread(BytesIO(b"".join(part.chunks())))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["works", "turned"])
def test_a_tool_makes_a_draft(archive, series, declare, tmp_path, mode):
    declare(mode)
    said: list[str] = []
    made = archive.run_tool("grey", series, progress=said.append)
    assert said == ["preparing the images", "reading", "half way", "reading the answer"]
    assert made.remarks == ("Not found: Spleen.",)
    array = values()
    expected = (array > np.quantile(array, 0.5)).astype(np.uint8) + (array > np.quantile(array, 0.9))
    np.testing.assert_array_equal(made.to_array(), expected)

    stored = headers(archive, made.save())
    assert (stored.SOPInstanceStatus, stored.SeriesDescription) == ("OR", "grey (draft)")
    liver, kidney = stored.SegmentSequence
    assert (liver.SegmentAlgorithmType, liver.SegmentAlgorithmName) == ("AUTOMATIC", "grey 1.2")
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"  # SNOMED CT: Liver structure
    assert kidney.SegmentLabel == "left kidney"
    assert kidney.SegmentedPropertyTypeCodeSequence[0].CodeValue == "64033007"
    (equipment,) = stored.ContributingEquipmentSequence
    assert (equipment.Manufacturer, equipment.ManufacturerModelName) == ("Acme", "grey")
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"  # Processing Equipment
    (part,) = archive.retrieve(made.save())
    check_with_dciodvfy(b"".join(part.chunks()), tmp_path)


@pytest.mark.slow
def test_a_draft_is_accepted_once_and_by_name(archive, series, declare, tmp_path):
    declare()
    draft = archive.run_tool("grey", series).save()
    assert archive.segmentation(draft).draft
    with pytest.raises(InvalidInput, match="Name the person"):
        archive.accept_draft(draft, " \n ")
    accepted = archive.accept_draft(draft, "Doe^Jane")
    stored = headers(archive, accepted)
    assert (stored.SOPInstanceStatus, stored.SOPAuthorizationComment) == ("AO", "Accepted by Doe^Jane")
    assert stored.SOPAuthorizationDateTime.startswith(stored.ContentDate)
    assert stored.SeriesDescription == "grey (version 2)"
    assert stored.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == draft.instance
    assert stored.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    assert len(stored.ContributingEquipmentSequence) == 1
    (part,) = archive.retrieve(accepted)
    check_with_dciodvfy(b"".join(part.chunks()), tmp_path)
    with pytest.raises(InvalidInput, match="is not a draft"):
        archive.accept_draft(accepted, "Doe^Jane")
    # What is changed afterwards is not accepted by anybody.
    changed = archive.segmentation(accepted)
    assert not changed.draft and "SOPInstanceStatus" not in headers(archive, changed.save())


@pytest.mark.slow
def test_a_draft_that_was_changed_has_one_version_in_its_name(archive, series, declare):
    declare()
    changed = archive.segmentation(archive.run_tool("grey", series).save())
    draft = replace(changed, segments=changed.segments[:1]).save()
    assert headers(archive, draft).SeriesDescription == "grey (version 2) (draft)"
    accepted = headers(archive, archive.accept_draft(draft, "Doe^Jane"))
    assert (accepted.SeriesDescription, accepted.ContentCreatorName) == ("grey (version 3)", "Doe^Jane")


REFUSED = {
    "fails": "failed (exit code 3). It said last: reading / half way / out of memory on the device",
    "silent": "ended without writing {output}; it wrote nothing",
    "pipe": "ended without writing {output}; it wrote output.nii.gz",
    "link": "ended without writing {output}; it wrote output.nii.gz",
    "link to a folder": "ended without writing {output}; it wrote elsewhere, output.nii.gz",
    "garbage": "cannot be read: The bytes are not a NIfTI-1 or NIfTI-2 file.",
    "unknown": "gave values that its declaration does not name: 77.",
    "empty": "found nothing in",
    "half": "cover 3 x 10 x 12 voxels of the 6 x 10 x 12 that the images have",
    "elsewhere": "lie on another grid than the images",
    "fractions": "A label map holds whole numbers only.",
    "unplaced": "do not say how they lie in the patient",
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", REFUSED)
def test_what_cannot_be_used_is_a_sentence_and_not_stored(archive, series, declare, mode):
    declare(mode)
    with pytest.raises(DicomdockError) as refused:
        archive.run_tool("grey", series)
    assert REFUSED[mode] in str(refused.value)
    assert segmentations(archive, series) == 0


@pytest.mark.slow
def test_output_is_bounded(archive, series, declare):
    declare("large", "max_output = 30_000_000")
    with pytest.raises(ToolError, match="wrote more than 30,000,000 bytes and was ended"):
        archive.run_tool("grey", series)
    assert segmentations(archive, series) == 0


@pytest.mark.slow
def test_a_missing_program_is_named(archive, series, settings):
    text = '[labels]\n1 = "Liver"\n'
    command = 'name = "grey"\ncommand = ["no-such-program", "{input}", "{output}"]\n'
    ToolFolder(settings).add((command + text).encode(), "grey.toml")
    with pytest.raises(ToolError, match="cannot be started: no-such-program: No such file or directory"):
        archive.run_tool("grey", series)


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # ended, and its new parent has not looked yet


@pytest.mark.slow
@pytest.mark.parametrize("how", ["time-out", "cancelled", "closed"])
def test_a_tool_that_hangs_is_ended_with_what_it_started(
    archive, series, declare, settings, tmp_path, monkeypatch, how
):
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    tool = declare("hangs", 'environment = ["PIDS"]' + ("\ntimeout = 3" if how == "time-out" else ""))
    cancelled = threading.Event()
    job = Job(tool, settings, cancelled=cancelled)
    with closing(run_on_series(archive, job, Resource.parse(series))) as work:
        while next(work).line != "child":
            pass
        if how == "time-out":
            with pytest.raises(ToolError, match="took longer than 3 seconds and was ended"):
                list(work)
        elif how == "cancelled":
            cancelled.set()
            with pytest.raises(Cancelled):
                list(work)
    assert all(map(gone, map(int, (tmp_path / "pids").read_text().split())))
    assert segmentations(archive, series) == 0


@pytest.mark.slow
def test_a_dicom_tool_gives_a_segmentation(archive, series, declare, settings, tmp_path):
    """The program copies one that lies on the images, then one of another frame of reference."""
    declare()
    given = headers(archive, archive.run_tool("grey", series).save())
    copier = "import shutil, sys, os; assert len(os.listdir(sys.argv[1])) == 6; shutil.copy(*sys.argv[2:])"
    command = json.dumps([sys.executable, "-c", copier, "{input}", str(tmp_path / "given.dcm"), "{output}"])
    text = f'name = "seg"\ninput = "dicom"\noutput = "seg"\ncommand = {command}\n'
    ToolFolder(settings).add(text.encode(), "seg.toml")
    given.save_as(tmp_path / "given.dcm")
    made = archive.run_tool("seg", series)
    assert [one.label for one in made.segments] == ["Liver", "left kidney"] and made.draft
    before = segmentations(archive, series)
    given.FrameOfReferenceUID = "2.25.77"
    given.save_as(tmp_path / "given.dcm")
    with pytest.raises(DicomdockError, match="another frame of reference"):
        archive.run_tool("seg", series)
    (tmp_path / "given.dcm").write_bytes(b"no DICOM")
    with pytest.raises(ToolError, match="gave no DICOM file"):
        archive.run_tool("seg", series)
    assert segmentations(archive, series) == before


@pytest.mark.slow
def test_a_service_receives_the_images_and_its_token(archive, series, declare, settings, tmp_path):
    from dicomdock.config.secrets import Secrets

    def reply(request: Request) -> Answer:
        import subprocess

        (tmp_path / "in.nii.gz").write_bytes(request.body)
        subprocess.run(
            [sys.executable, SCRIPT, "works", tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"],
            check=True,
            capture_output=True,
        )
        return Answer(body=(tmp_path / "out.nii.gz").read_bytes())

    with answering(reply) as server:
        text = f'name = "far"\nendpoint = "{server.url}/segment"\n{LABELS}'
        tool = ToolFolder(settings).add(text.encode(), "far.toml")
        Secrets(settings).set("tool far", str(tool.origin), "s3cret-token")
        made = archive.run_tool("far", series)
    assert [one.label for one in made.segments] == ["Liver", "left kidney"]
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/segment")
    assert asked.headers["Authorization"] == "Bearer s3cret-token"

    with answering(lambda _: Answer()) as other, answering(lambda _: Answer(307, headers=sent_on)) as sending:
        sent_on = {"Location": f"{other.url}/segment"}
        for more in (f'endpoint = "{sending.url}"', f'monai_label = "{sending.url}"\nmodel = "a"'):
            tool = ToolFolder(settings).add(f'name = "far"\n{more}\n{LABELS}'.encode(), "far.toml")
            Secrets(settings).set("tool far", str(tool.origin), "s3cret-token")
            with pytest.raises(DicomdockError, match="which was not followed"):
                archive.run_tool("far", series)
    assert (len(sending.asked), other.asked) == (2, [])  # neither the images nor the token go there

    with answering(lambda _: None) as silent:
        text = f'name = "far"\ntimeout = 1\nendpoint = "{silent.url}"\n{LABELS}'
        ToolFolder(settings).add(text.encode(), "far.toml")
        with pytest.raises(ToolError, match="took longer than 1 seconds"):
            archive.run_tool("far", series)
    with answering(lambda _: Answer(body=bytes(100))) as large:
        text = f'name = "far"\nmax_output = 99\nendpoint = "{large.url}"\n{LABELS}'
        ToolFolder(settings).add(text.encode(), "far.toml")
        with pytest.raises(DicomdockError, match="longer than 99 bytes"):
            archive.run_tool("far", series)


def test_pixels_leave_for_allowed_servers_alone(archive, series, settings):
    text = f'name = "far"\nendpoint = "http://gpu.invalid/segment"\n{LABELS}'
    ToolFolder(settings).add(text.encode(), "far.toml")
    with pytest.raises(ProfileError, match=r"'dicomdock tool allow http://gpu\.invalid'"):
        archive.run_tool("far", series)
    TrustStore.for_pixels(settings).add("http://gpu.invalid")
    with pytest.raises(DicomdockError, match=r"gpu\.invalid"):  # it is asked now, and has no such name
        archive.run_tool("far", series)
    assert not TrustStore(settings).trusts("http://gpu.invalid:80")  # links are another matter


def test_declarations_that_cannot_work():
    good = 'name = "a"\ncommand = ["a", "{input}", "{output}"]\n'
    assert parse_tool((good + LABELS).encode(), "t").named[3].name == "Spleen"
    for text, why in {
        "name": "not a TOML",
        LABELS: "name is missing",
        good: "labels is missing",
        good + "[labels]\n0 = 'a'": "labels.0 is not a value",
        good + "[labels]\n65536 = 'a'": "labels.65536 is not a value",
        good + "[labels]\n1 = 'a'\n2 = 'a'": "two labels named 'a'",
        good + "[labels]\n1 = 'a'\n01 = 'b'": "declared twice",
        good + "[labels]\n1 = {name = 'a', type = 'Liver'}": "labels.1.type must be SCHEME:VALUE:MEANING",
        good + "[labels]\n1 = {name = 'a', kind = 'b'}": "labels.1.kind is not known",
        good + "[labels]\n1 = 3": "must be a name",
        good + "odd = 1": "odd is not known",
        good + "output = 'seg'\n" + LABELS: "names its segments itself",
        good + "endpoint = 'http://a'\n" + LABELS: "Give one of",
        'name = "a"\n' + LABELS: "Give one of",
        'name = "../a"\ncommand = ["a"]\n' + LABELS: "cannot name a tool",
        'name = "a"\ncommand = ["a", "{input}"]\n' + LABELS: "must hold {output}",
        'name = "a"\ntimeout = 0\ncommand = ["a", "{input}", "{output}"]\n' + LABELS: "timeout must be",
        'name = "a"\nendpoint = "ftp://a"\n' + LABELS: "http",
        'name = "a"\nendpoint = "http://u:p@a"\n' + LABELS: "endpoint",
    }.items():
        with pytest.raises(ProfileError) as refused:
            parse_tool(text.encode(), "t")
        assert why in str(refused.value), text
    assert not os.path.exists("t")
