"""Nobody leaves who is older than 90: an age of 90 years or more is 90, wherever an option keeps ages."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage

from tests.builders import changed, composite, ct_series, encode
from tests.deidentify.conftest import deidentified
from tests.deidentify.test_walk import code, item

KEPT = "basic,retain-patient-characteristics,retain-full-dates,clean-structured-content"


@pytest.mark.parametrize(
    ("age", "left"),
    [
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("094Y", "090Y"),
        ("999M", "999M"),  # 83 years
        ("1080M", "090Y"),
        ("033D", "033D"),
        ("94", "090Y"),
        ("45", "45"),
        ("94 Y", "090Y"),
        ("YYYY", None),
        ("about 94", None),
    ],
)
@pytest.mark.usefixtures("odd_values")
def test_an_age_of_a_few_people_leaves_as_90(age: str, left: str | None) -> None:
    """With dates that stay too, the date of birth does not leave, so that the age cannot be found by it."""
    one = changed(ct_series(1)[0], PatientAge=age, PatientBirthDate="19300102", StudyDate="20250203")
    made = deidentified(one.data, KEPT).dataset
    assert made.get("PatientAge") == left
    assert made.StudyDate == "20250203"
    assert not made.PatientBirthDate
    assert "PatientAge" not in deidentified(one.data).dataset


@pytest.mark.parametrize(
    ("number", "unit", "left"),
    [
        ("89", "a", ("89", "a")),
        ("93", "a", ("90", "a")),
        ("1000", "mo", ("1000", "mo")),
        ("1116", "mo", ("90", "a")),
        ("33968", "d", ("90", "a")),
        ("93", "{years}", ("90", "a")),
    ],
)
def test_the_age_in_a_report_too(number: str, unit: str, left: tuple[str, str]) -> None:
    value = Dataset()
    value.NumericValue, value.MeasurementUnitsCodeSequence = number, [code(unit, "UCUM", unit)]
    report = composite(ComprehensiveSRStorage, Modality="SR")
    context = item("CONTAINER", code("121070", "DCM", "Findings"))
    context.ContentSequence = [
        item("NUM", code("121033", "DCM", "Subject Age"), MeasuredValueSequence=[value])
    ]
    report.ContentSequence = [context]
    made = deidentified(encode(report), KEPT).dataset.ContentSequence[0].ContentSequence[0]
    (measured,) = made.MeasuredValueSequence
    assert (str(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue) == left
