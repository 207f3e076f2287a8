"""A patient's name in any script and encoding leaves nowhere, nor in what equipment writes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import product
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomdock.deidentify import Pseudonyms
from dicomdock.deidentify.identity import Identity
from tests.builders import ct_series, encode
from tests.deidentify.conftest import KEY, deidentified

NAMES = [
    ("ISO_IR 100", "Müllerová^Zoë"),
    ("ISO_IR 144", "Люкceмбypг^Анна"),
    ("ISO_IR 126", "Διονυσιος^Ελενη"),
    ("ISO_IR 138", "שרון^דבורה"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪吉^吉洞"),
    ("GB18030", "Wang^Xiaodong=王小^小东"),
    ("ISO_IR 192", "Kovács^Ilona=高瀬^小百合"),
    ("", "Quagmire^Zebulon"),
]
ENCODINGS = (
    "utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso8859-5", "iso8859-7", "iso8859-8",
    "iso2022_jp", "shift_jis", "euc_kr", "gb18030",
)  # fmt: skip
TEXTS = (
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "SequenceName", "ReceiveCoilName",
    "StudyDescription", "SeriesDescription", "ImageComments", "ProtocolName", "InstitutionName",
    "ReasonForStudy", "TextComments",
)  # fmt: skip
CODES = ("BodyPartExamined", "ImageType", "ScanOptions", "SequenceVariant")
PROFILES = ["basic", "basic,clean-descriptors,clean-structured-content,retain-device-identity"]


def named(charset: object, name: str) -> tuple[bytes, list[str]]:
    """Make an instance with a patient's name in every place; return its bytes and the words of the name."""
    words = [word for part in name.split("=") for word in part.split("^")]
    dataset = ct_series(1)[0].dataset
    dataset.SpecificCharacterSet = charset
    dataset.PatientName = name
    nested = Dataset()
    for target in (dataset, nested):
        for keyword in TEXTS:
            setattr(target, keyword, f"of {words[0]} {words[-1]}")
    if name.isascii():
        for keyword in CODES:
            setattr(dataset, keyword, words[0].upper())
    nested.PersonName = name
    dataset.PertinentOtherEvidenceSequence = [nested]
    dataset.RequestAttributesSequence = [nested]
    return encode(dataset), words


def forms(word: str) -> set[bytes]:
    """Return the bytes of a word in every encoding that has it."""
    found = set()
    for encoding in ENCODINGS:
        for one in {word, word.upper(), word.lower()}:
            try:
                found.add(one.encode(encoding))
            except UnicodeEncodeError:
                continue
    return {one.removeprefix(b"\x1b$B").removesuffix(b"\x1b(B") for one in found}


@pytest.mark.usefixtures("odd_values")
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("charset", "name"), NAMES)
def test_a_name_leaves_in_no_encoding(charset: object, name: str, profile: str) -> None:
    data, words = named(charset, name)
    for word in (words[0], words[-1]):
        assert any(form in data for form in forms(word))
    made = deidentified(data, profile).data
    for word in (words[0], words[-1]):
        assert [form for form in forms(word) if form in made] == []
    for element in dcmread(io.BytesIO(made)).iterall():
        assert not any(word.casefold() in str(element.value).casefold() for word in words if len(word) > 1), (
            element
        )


@pytest.mark.parametrize("term", ["CHEST", "ESOPHAGUS", "OESOPHAGUS"])
def test_terms_stay_where_a_patient_is_named_like_one(term: str) -> None:
    dataset = ct_series(1)[0].dataset
    dataset.PatientName = f"{term}^Phantom"
    dataset.BodyPartExamined = term
    copy = dcmread(io.BytesIO(deidentified(encode(dataset)).data))
    assert copy.BodyPartExamined == term
    assert copy.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Wang^Wei=王^伟", ["王伟", "伟王", "王 伟", "给王伟的"]),
        ("Hong^Gildong=洪^吉洞=홍^길동", ["홍길동", "길동님", "洪吉洞"]),
        ("Yamada^Tarou=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ", ["ヤマダ", "やまだ", "ﾀﾛｳ様", "山田　太郎"]),
        ("Müller^Zoë", ["MULLER", "Mueller", "Mu\u0308ller", "ZOEMUELLER"]),
        ("Østergård^Bjørn", ["OSTERGARD", "Oestergaard", "bjorn"]),
        ("Łukasz^Paweł", ["Lukasz", "PAWELLUKASZ"]),
        ("Mueller^Soeren", ["Müller", "MULLER", "Søren", "Sörenmüller"]),
        ("Baer^Juergen", ["Bär", "JURGEN"]),
        ("Muller^Aase", ["Mueller", "Åse", "ÅseMüller"]),
        ("Muñoz^Strauß", ["Munoz", "STRAUSS"]),
        ("Strauss^Aegir", ["Strauß", "Ægir"]),
        ("Djokovic^Novak", ["Đoković", "dokovic"]),
        ("Miller^Anne", ["MILLERANNE", "anne_miller", "AnneMiller2"]),
    ],
)
def test_a_name_is_found_in_every_way_to_write_it(name: str, written: list[str]) -> None:
    """Each in what equipment writes, which stays otherwise, and in code strings where it can stand there."""
    for one in written:
        dataset = ct_series(1)[0].dataset
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.ManufacturerModelName = name, one
        if one.isascii():
            dataset.BodyPartExamined = one.upper()
        made = deidentified(encode(dataset)).dataset
        assert one not in str(made.get("ManufacturerModelName"))
        assert one.upper() not in str(made.get("BodyPartExamined"))


TRANSCRIBED = {
    "ä": ("ae", "a"), "ö": ("oe", "o"), "ü": ("ue", "u"), "å": ("aa", "a"), "ø": ("oe", "o"),
    "æ": ("ae",), "œ": ("oe",), "ß": ("ss",), "ñ": ("n",), "þ": ("th",), "ð": ("d",), "đ": ("d", "dj"),
    "ł": ("l",), "é": ("e",), "ç": ("c",), "ı": ("i",),
}  # fmt: skip
"""Ways to write a letter in the letters of English, most by ICAO 9303-3 §6."""


PLAIN = [(one, one) for one in "bklmnrstv"]
WRITTEN = PLAIN + [ways for one, others in TRANSCRIBED.items() for ways in product((one, *others), repeat=2)]


@pytest.mark.slow
@given(
    st.lists(st.sampled_from(PLAIN), min_size=4, max_size=4),  # so that no form is too short to be looked for
    st.lists(st.sampled_from(WRITTEN), min_size=1, max_size=8),
    st.randoms(),
)
def test_a_name_in_any_transcription_is_found_in_any_other(
    plain: list[tuple[str, str]], others: list[tuple[str, str]], chance: Random
) -> None:
    letters = [*plain, *others]
    chance.shuffle(letters)
    name, written = ("".join(way) for way in zip(*letters, strict=True))
    dataset = Dataset()
    dataset.PatientName = f"{name}^X"
    assert Identity.of(dataset, Pseudonyms(KEY)).is_named_in(f"seen by {written.upper()}, again")


@pytest.mark.parametrize("written", ["19470713", "b. 13.07.1947", "07/13/1947", "1947-07-13", "MRN00471133X"])
def test_a_date_of_birth_and_a_record_number_are_found_too(written: str) -> None:
    dataset = ct_series(1)[0].dataset
    dataset.PatientBirthDate, dataset.PatientID = "19470713", "mrn00471133"
    dataset.ManufacturerModelName = written
    assert "ManufacturerModelName" not in deidentified(encode(dataset)).dataset


SHORT = [
    (one, two)
    for one in ("Wu", "Lee", "Li", "Ng", "Ho", "An", "Low", "Ma", "Hu", "No", "L\u00ea")
    for two in ("Bo", "Amy")
]
STAYING = ("CT", "chest", "abdomen", "venous", "contrast", "T1", "3mm")
SAID = (
    "SeriesDescription",
    "StudyDescription",
    "ImageComments",
    "ProtocolName",
    "ManufacturerModelName",
    "BodyPartExamined",
)


@pytest.mark.usefixtures("odd_values")
@given(
    st.sampled_from(SHORT),
    st.lists(st.sampled_from(STAYING), min_size=1, max_size=4, unique=True),
    st.sampled_from((str.upper, str.lower, str.title)),
    st.sampled_from((" ", ", ", "-", "_", "^")),
    st.randoms(),
)
def test_a_short_name_leaves_as_no_word_and_the_other_words_stay(
    name: tuple[str, str], staying: list[str], written: Callable[[str], str], between: str, chance: Random
) -> None:
    dataset = ct_series(1)[0].dataset
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", "^".join(name)
    words = [*map(written, name), *staying]
    chance.shuffle(words)
    for keyword in SAID:
        setattr(dataset, keyword, between.join(words))
    dataset.RescaleType, dataset.BurnedInAnnotation = "HU", "NO"
    copy = dcmread(io.BytesIO(deidentified(encode(dataset), "basic,clean-descriptors").data))
    found = {
        word
        for element in copy.iterall()
        if element.VR not in ("UI", "PN") and element.keyword not in ("RescaleType", "BurnedInAnnotation")
        for word in re.findall(r"[^\W_]+", str(element.value).casefold())
    }
    assert found.isdisjoint(one.casefold() for one in name)
    assert copy.SeriesDescription == " ".join(word for word in words if word in staying)
    assert (copy.RescaleType, copy.BurnedInAnnotation) == ("HU", "NO")


@pytest.mark.parametrize("name", ["Hansen^Ole^^Mr", "Hansen^Ole^^^MD", "MR Hansen", "M^R"])
def test_titles_and_initials_are_not_looked_for(name: str) -> None:
    dataset = ct_series(1)[0].dataset
    dataset.PatientName, dataset.ManufacturerModelName, dataset.SeriesDescription = (
        name,
        "MR 450 MD R",
        "MR brain",
    )
    copy = dcmread(io.BytesIO(deidentified(encode(dataset), "basic,clean-descriptors").data))
    assert (copy.ManufacturerModelName, copy.SeriesDescription) == ("MR 450 MD R", "MR brain")
