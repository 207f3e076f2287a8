"""``waveform`` from the command line."""

from __future__ import annotations

from tests.builders import made, write
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
