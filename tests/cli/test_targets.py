"""``targets``: sums of diameters over time points, from reports of ours and of highdicom's."""

from __future__ import annotations

import csv
from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from pydicom.uid import generate_uid
from tests.builders import Made, write
from tests.imaging.scans import headers, scan

from dicomdock.imaging.authoring import to_bytes
from dicomdock.imaging.measurements import Report, distance, report_to_dicom
from dicomdock.imaging.measurements.targets import response
from dicomdock.imaging.terminology import Code

LIVER, LUNG = str(generate_uid()), str(generate_uid())


def measured(date: str, patient: str = "P1", **lengths: float) -> list[Made]:
    """Make a study with a report of ours: lesions by name, their lengths in mm."""
    made = scan(np.zeros((2, 8, 8), np.int16), StudyDate=date, PatientID=patient)
    found = [
        replace(
            distance(name.upper() if date > "2021" else name, (0, 0, 0), (length, 0, 0)),
            tracking_uid={"liver": LIVER}.get(name, ""),
        )
        for name, length in lengths.items()
    ]
    written = report_to_dicom(Report(tuple(found)), headers(made))
    return [*made, Made(written, to_bytes(written))]


def foreign(made: list[Made], name: str, centimetres: float) -> Made:
    """Make a report with highdicom, in centimetres, of the images of another."""
    sources = headers(made[:2])
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier(LIVER, name),
        measurements=[
            hd.sr.Measurement(
                Code("103339001", "SCT", "Long Axis"), centimetres, Code("cm", "UCUM", "centimeter")
            )
        ],
    )
    device = hd.sr.ObserverContext(
        Code("121007", "DCM", "Device"), hd.sr.DeviceObserverIdentifyingAttributes(uid=hd.UID())
    )
    content = hd.sr.MeasurementReport(
        hd.sr.ObservationContext(observer_device_context=device),
        Code("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[group],
    )
    written = hd.sr.Comprehensive3DSR(sources, content, hd.UID(), 1, hd.UID(), 1, manufacturer="m")
    written.ContentDate = "20990101"  # newer than what was measured before
    return Made(written, to_bytes(written))


@pytest.fixture
def studies(run, tmp_path):
    baseline = measured("20200105", liver=40, lung=20)
    second = measured("20200601", liver=25, lung=15)
    second.append(foreign(second, "liver 1", 3.0))
    third = measured("20210601", liver=36, lung=19.2)
    for at, made in enumerate((third, baseline, second)):
        assert run("import", *write(tmp_path / str(at), made)).code == 0
    return [one[0].study for one in (baseline, second, third)]


@pytest.mark.slow
def test_sums_and_changes_over_time_points(run, studies, tmp_path):
    table = tmp_path / "targets.csv"
    found = run("targets", "PatientID=P1", "--csv", table, "--json")
    assert found.code == 0, found.err
    assert found.json["studies"] == studies
    assert found.json["remarks"] == []
    with table.open(newline="") as file:
        cells = {row.pop("target"): [*row.values()] for row in csv.DictReader(file)}
    assert cells.pop("response of targets") == ["", "stable", "progressive"]
    rows = {name: [float(one or "nan") for one in found] for name, found in cells.items()}
    assert rows["liver"] == pytest.approx([40, 30, 36])
    assert rows["lung"] == pytest.approx([20, 15, 19.2])
    assert rows["sum of diameters"] == pytest.approx([60, 45, 55.2])
    assert rows["percent from baseline"] == pytest.approx([np.nan, -25, -8], nan_ok=True)
    assert rows["percent from nadir"] == pytest.approx([np.nan, -25, 100 * (55.2 / 45 - 1)], nan_ok=True)


@pytest.mark.slow
def test_a_lesion_that_was_not_measured_leaves_no_sum(run, studies, tmp_path):
    assert run("import", *write(tmp_path / "more", measured("20220101", liver=10))).code == 0
    found = run("targets", "PatientID=P1", "--json")
    rows = {row["target"]: row for row in found.json["rows"]}
    assert rows["sum of diameters"]["20220101"] is None
    assert rows["percent from baseline"]["20220101"] is None
    assert rows["response of targets"]["20220101"] is None
    assert rows["response of targets"]["20210601"] == "progressive"
    assert found.json["remarks"] == ["'lung' was not measured on 20220101, so there is no sum."]
    one = run("targets", "PatientID=P1", "--only", "liver", "--json").json["rows"]
    assert one[1]["20220101"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("sums", "due"),
    [
        ((100, 70), "partial"),
        ((100, 70.1), "stable"),
        ((100, 120), "progressive"),
        ((100, 119.9), "stable"),
        ((20, 24.9), "stable"),  # a quarter more, and less than 5 mm
        ((20, 25), "progressive"),
        ((100, 50, 60), "progressive"),  # from the nadir, though still far below the baseline
        ((100, 50, 59), "partial"),
        ((100, 0), "complete"),
        ((100, 0, 4), "partial"),
        ((100, 0, 5), "progressive"),
        ((100, None, 60), None),
        ((None, 100, 60), None),
        ((100, None), None),
        ((0, 10), None),
    ],
)
def test_the_response_by_the_published_thresholds(sums, due):
    """RECIST 1.1, Eisenhauer et al. 2009, section 4.3.1."""
    assert response(sums[:-1], sums[-1]) == due


def test_a_study_without_reports_and_one_that_is_not_there(run, tmp_path):
    images = scan(np.zeros((2, 8, 8), np.int16))
    assert run("import", *write(tmp_path / "images", images)).code == 0
    found = run("targets", images[0].study, "--json")
    assert (found.code, found.json["rows"], found.json["remarks"]) == (0, [], [])
    assert "0 lesions at 0 time points." in run("targets", images[0].study).out
    for command in (("targets", "1.2.3"), ("key-images", "list", "1.2.3"), ("registration", "show", "1.2.3")):
        missing = run(*command)
        assert (missing.code, missing.err.strip()) == (1, "1.2.3 is not in the local archive.")


@pytest.mark.slow
def test_several_patients_are_refused(run, studies, tmp_path):
    other = measured("20220101", patient="P2", liver=10)
    assert run("import", *write(tmp_path / "other", other)).code == 0
    wrong = run("targets", studies[0], other[0].study)
    assert (wrong.code, "several patients" in wrong.err) == (2, True)
