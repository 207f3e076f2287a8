"""De-identified copies from Python: the same as the command's."""

from __future__ import annotations

import json

import pytest
from pydicom import dcmread

from dicomdock.errors import InvalidInput
from tests.builders import document
from tests.dicomweb.awkward import Awkward
from tests.servers.canned import Answer, answering


@pytest.mark.slow
def test_copies_are_written_and_what_is_held_back_is_named(archive, series, made, tmp_path):
    paper = document(StudyInstanceUID=made[0].study)
    path = tmp_path / "paper.dcm"
    path.write_bytes(paper.data)
    list(archive.import_paths(path))
    key = tmp_path / "key"
    key.write_text("0f" * 32)
    done = archive.export_deidentified(
        made[0].study, tmp_path / "out", "basic,retain-modified-dates", key_file=key
    )
    assert len(done.files) == len(made)
    assert done.held_back.keys() == {str(paper.resource)}
    assert json.dumps(done.report)
    copy = dcmread(tmp_path / "out" / done.files[0].path)
    assert copy.SOPInstanceUID == done.files[0].resource.instance
    assert copy.PatientIdentityRemoved == "YES"
    assert "Doe" not in str(done.files[0].path)
    with pytest.raises(InvalidInput, match="not a profile"):
        archive.export_deidentified(made[0].study, tmp_path / "more", "everything")
    assert not (tmp_path / "more").exists()


@pytest.mark.slow
def test_copies_are_pushed(archive, series, made, settings):
    from dicomdock.config.servers import ServerProfile, change_profiles

    server, received = Awkward(), []

    def stores(instances):
        received.extend(instances)
        server.keep(instances)
        return Answer(200, b"success", {"Content-Type": "text/plain"})

    server.stores = stores
    with answering(server) as running:
        profile = ServerProfile("trial", running.url)
        change_profiles(settings, lambda known: known.with_profile(profile))
        report = archive.push("trial", series, deidentify="basic")
        with pytest.raises(InvalidInput):
            archive.push("trial", series, deidentify="nothing")
    assert report.complete
    assert report.deidentification["instances"] == len(made) == len(received)
    assert all(b"Doe" not in one.data for one in received)
