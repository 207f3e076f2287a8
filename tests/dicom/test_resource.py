"""Resource: what is a UID, what is a path, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.dicom.resource import Resource
from dicomdock.dicom.uid import MAX_TOLERATED, MAX_UID_LENGTH, check_uid, new_uid
from dicomdock.errors import InvalidInput

uids = st.from_regex(r"[0-2](\.(0|[1-9][0-9]{0,8})){1,5}", fullmatch=True)
odd_uids = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\,%")
    | st.sampled_from("ABCabc019._- "),
    min_size=1,
    max_size=MAX_TOLERATED,
).filter(lambda text: text.strip(". *?"))


@pytest.mark.slow
@given(st.lists(odd_uids.map(str.strip), min_size=1, max_size=3))
def test_a_resource_survives_its_path(names):
    study, series, instance = [*names, None, None][:3]
    resource = Resource(study, series, instance)
    assert Resource.parse(resource.path) == resource
    assert not {".", ".."} & set(resource.path.split("/"))
    assert " " not in resource.path


@pytest.mark.slow
@given(st.lists(uids, min_size=1, max_size=3))
def test_a_resource_survives_its_text(names):
    assert str(Resource.parse("/".join(names))) == "/".join(names)


@pytest.mark.slow
@given(st.text(max_size=100))
def test_any_text_is_a_resource_or_refused_in_a_sentence(text):
    try:
        resource = Resource.parse(text)
    except InvalidInput as error:
        assert str(error).endswith(".")
    else:
        assert Resource.parse(resource.path) == resource


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "..",
        "1.2/../3",
        "../../etc/passwd",
        "1.2/%2e%2e/3",
        "1.2%2f..",
        "1.2/3/4/5",
        "studies",
        "studies/",
        "studies/1/instances/2",
        "studies/1/series",
        "studies/1/series/2/instances/3/frames/0",
        "studies/1/series/2/instances/3/frames/x",
        "1.2\n3",
        "1.2\\3",
        "1,2",
        "1" * 257,
        "\0",
    ],
)
def test_what_is_not_a_resource_is_refused(text):
    with pytest.raises(InvalidInput):
        Resource.parse(text)


def test_a_path_and_its_parents():
    frames = Resource.parse("/studies/1.2/series/3/instances/4/frames/2,1")
    assert frames == Resource("1.2", "3", "4", (2, 1))
    assert frames.path == "/studies/1.2/series/3/instances/4/frames/2,1"
    levels = []
    place: Resource | None = frames
    while place is not None:
        levels.append(place.level)
        place = place.parent
    assert levels == ["frames", "instance", "series", "study"]


def test_an_odd_uid_is_escaped_in_the_path():
    resource = Resource("1.2", "REM SAMPLES 1")
    assert resource.path == "/studies/1.2/series/REM%20SAMPLES%201"
    assert Resource.parse(resource.path) == resource


def test_a_series_contains_its_instances_only():
    series = Resource("1", "2")
    assert series.contains(series)
    assert series.contains(Resource("1", "2", "3"))
    assert not series.contains(Resource("1", "4", "3"))
    assert not series.contains(Resource("1"))


@pytest.mark.parametrize("broken", [{"instance": "3"}, {"series": "2", "frames": (1,)}, {"series": ""}])
def test_no_level_is_skipped(broken):
    with pytest.raises(InvalidInput):
        Resource("1", **broken)


def test_a_uid_is_checked_strictly_unless_asked_otherwise():
    assert check_uid("1.2.3\0") == "1.2.3"
    with pytest.raises(InvalidInput, match="not a DICOM UID"):
        check_uid("REM SAMPLES 1")
    assert check_uid(" REM SAMPLES 1 ", tolerant=True) == "REM SAMPLES 1"
    with pytest.raises(InvalidInput):
        check_uid("...", tolerant=True)


@pytest.mark.parametrize("text", ["1.2.3\r\n", "\n    1.2.3", "\t1.2.3 \0", "1.2.3\0\0"])
def test_padding_of_any_kind_is_no_part_of_a_uid(text):
    assert check_uid(text) == check_uid(text, tolerant=True) == "1.2.3"


@pytest.mark.parametrize("uid", ["1.2.3:4", "{1A2B-3C}", "1.2.3*", "1+2", "1.2#3", "1.2.\xfc", "1" * 256])
def test_a_uid_that_somebody_else_assigned_is_read_but_not_written(uid):
    assert check_uid(uid, tolerant=True) == uid
    with pytest.raises(InvalidInput, match="at most 64"):
        check_uid(uid)


@pytest.mark.parametrize(
    "uid", ["", " ", ".", "..", "*", "**", "*.?", "1/2", "1\\2", "1,2", "1%2F2", "1\n2", "1\x7f", "1" * 257]
)
def test_what_could_be_a_path_or_a_list_is_never_a_uid(uid):
    for tolerant in (False, True):
        with pytest.raises(InvalidInput):
            check_uid(uid, tolerant=tolerant)


def test_a_new_uid_is_one_that_may_be_written():
    made = {new_uid() for _ in range(100)}
    assert len(made) == 100
    assert all(check_uid(uid) == uid and len(uid) <= MAX_UID_LENGTH for uid in made)
