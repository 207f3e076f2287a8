"""``waveform`` from the command line."""

from __future__ import annotations

from tests.builders import ct_series, made, write
from tests.imaging.test_waveforms import ecg


def test_a_strip_is_written_once(run, tmp_path):
    instance = made(ecg())
    assert run("import", *write(tmp_path / "made", [instance])).code == 0
    resource, picture = f"{instance.study}/{instance.series}", tmp_path / "strip.svg"
    written = run("waveform", resource, picture, "--seconds", "2", "--json")
    assert written.code == 0, written.err
    assert written.json["channels"] == ["Lead <I>", "Lead II"]
    assert 'width="50mm"' in picture.read_text("utf-8")
    again = run("waveform", resource, picture)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_a_series_of_images_is_named_as_what_it_is(run, tmp_path):
    images = ct_series(count=2)
    assert run("import", *write(tmp_path / "images", images)).code == 0
    refused = run("waveform", f"{images[0].study}/{images[0].series}", tmp_path / "strip.svg")
    assert (refused.code, "holds 2 instances of CT" in refused.err) == (2, True)
