"""Profiles, pseudonyms and what is stated of them in the copies."""

from __future__ import annotations

import re
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydicom.sr.codedict import codes

from dicomdock.deidentify import OPTIONS, Profile, Pseudonyms
from dicomdock.deidentify.profile import BASIC_CODE, CLEAN_PIXELS_CODE
from dicomdock.deidentify.pseudonyms import shifted
from dicomdock.deidentify.tables import tables
from dicomdock.dicom.uid import check_uid
from dicomdock.errors import InvalidInput
from tests.builders import changed, ct_series
from tests.deidentify.conftest import deidentified

KEY = Pseudonyms(bytes(32))


def test_the_codes_are_those_of_the_standard() -> None:
    known = (
        {code.value: code.meaning for code in codes.CID7050.concepts.values()}
        if hasattr(codes.CID7050, "concepts")
        else {
            getattr(codes.CID7050, name).value: getattr(codes.CID7050, name).meaning
            for name in codes.CID7050.dir()
        }
    )
    for value, meaning in (BASIC_CODE, CLEAN_PIXELS_CODE, *OPTIONS.values()):
        assert known[value] == meaning


@pytest.mark.slow
@given(st.sets(st.sampled_from(sorted(OPTIONS))))
def test_a_profile_is_written_as_it_is_read(options: set[str]) -> None:
    options.discard("retain-full-dates")
    profile = Profile(frozenset(options))
    assert Profile.parse(str(profile)) == profile
    assert len(profile.codes()) == len(options) + 1


def test_the_tables_name_their_edition() -> None:
    assert re.fullmatch(r"20\d\d[a-e]", tables().edition)
    assert len(tables().attributes) > 600
    assert tables().codes(0x00100010) == {"basic": "Z"}
    assert tables().codes(0x60023000) == {"basic": "X"}


@pytest.mark.slow
@given(st.text(min_size=1), st.text(min_size=1))
def test_pseudonyms_are_equal_for_equal_values_alone(one: str, two: str) -> None:
    assert (KEY.name("patient", one) == KEY.name("patient", two)) == (one == two)
    assert KEY.name("patient", one) != KEY.name("code", one)
    assert KEY.name("patient", one) != Pseudonyms(b"1" * 32).name("patient", one)
    uid = KEY.uid(one)
    assert uid == (check_uid(uid) if one.strip(" \0\t\r\n") else "")
    assert KEY.uid("1.2.840.10008.1.2") == "1.2.840.10008.1.2"


@pytest.mark.parametrize("uid", ["1.2.840.10008.DOE^JANE", "1.2.840.10008.\n1", "1.2.840.100081"])
def test_text_behind_the_root_of_the_standard_is_no_uid_of_its(uid: str) -> None:
    assert KEY.uid(uid).startswith("2.25.")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too short"):
        Pseudonyms(b"secret")
    assert "secret" not in repr(Pseudonyms(b"secret" * 6))


@pytest.mark.slow
@given(st.dates(), st.text(min_size=1))
def test_dates_move_by_the_same_days_for_one_patient(day, patient: str) -> None:
    by = KEY.shift(patient)
    assert timedelta(days=-3653) < by < timedelta(0)
    text = f"{day:%Y%m%d}".zfill(8)
    moved = shifted(text, by)
    if day.toordinal() + by.days > 0:
        assert moved is not None
        assert shifted(moved, -by) == text
        assert shifted(f"{text}101112.5+0100", by) == f"{moved}101112.5+0100"
    else:
        assert moved is None


@pytest.mark.parametrize("value", ["", "19991332", "yesterday", "2024", "19470713 Doe", "202401021500Doe"])
def test_what_is_not_a_day_is_not_moved(value: str) -> None:
    assert shifted(value, timedelta(days=-1)) is None


def test_the_copy_states_what_was_done_and_what_had_been_done() -> None:
    one = ct_series(1)[0]
    first = deidentified(one.data, "basic,retain-modified-dates")
    stated = first.dataset
    assert stated.PatientIdentityRemoved == "YES"
    assert stated.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [item.CodeValue for item in stated.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert f"PS3.15 {tables().edition} table E.1-1" in stated.DeidentificationMethod
    assert deidentified(one.data).dataset.LongitudinalTemporalInformationModified == "REMOVED"
    again = deidentified(first.data, "basic,retain-full-dates").dataset
    assert again.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [item.CodeValue for item in again.DeidentificationMethodCodeSequence] == [
        "113100",
        "113106",
        "113107",
    ]


def test_a_patient_without_an_id_is_known_by_name_and_birth_date() -> None:
    one, two = (changed(ct_series(1)[0], PatientID="") for _ in range(2))
    other = changed(two, PatientBirthDate="19720101")
    made = [deidentified(each.data).dataset.PatientName for each in (one, two, other)]
    assert made[0] == made[1] != made[2]
    nobody = changed(one, PatientName="", PatientID="")
    assert not deidentified(nobody.data).dataset.PatientName
