"""Messages between dock and viewer: each comes back as it was sent, and nothing else is taken for one."""

from __future__ import annotations

import json
import string
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock import rpc
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource

UIDS = st.from_regex(r"\A[0-9]{1,8}(\.[0-9]{1,8}){0,4}\Z") | st.just("REM SAMPLES 1")
NUMBERS = st.integers(-(2**53), 2**53)
TEXTS = st.text()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PATHS = st.text(string.ascii_letters + " äß日/", min_size=1).map(Path)


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    uids = draw(st.lists(UIDS, min_size=1, max_size=3))
    frames = draw(st.lists(st.integers(1, 9999), max_size=3)) if len(uids) == 3 else []
    return Resource(*uids, frames=tuple(frames))


st.register_type_strategy(Resource, resources())
st.register_type_strategy(Path, PATHS)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


def messages(kinds: Any) -> st.SearchStrategy[Any]:
    return st.one_of(*(_message(kind) for kind in kinds.values()))


def _message(kind: Any) -> st.SearchStrategy[Any]:
    items = st.dictionaries(TEXTS, JSON, max_size=3)
    given_by_name = {"coming": st.lists(items, max_size=2).map(tuple)}
    given_by_name["metadata"] = given_by_name["coming"]
    names = {field.name for field in fields(kind)}
    return st.builds(kind, **{name: value for name, value in given_by_name.items() if name in names})


@pytest.mark.slow
@given(messages(rpc.ORDERS))
def test_an_order_comes_back_as_it_was_sent(order: rpc.Order) -> None:
    line = rpc.encode(order)
    assert line.count(b"\n") == 1 and line.isascii()
    assert rpc.decode_order(line) == order


@pytest.mark.slow
@given(messages(rpc.EVENTS))
def test_an_event_comes_back_as_it_was_sent(event: rpc.Event) -> None:
    assert rpc.decode_event(rpc.encode(event)) == event


@pytest.mark.slow
@given(messages({**rpc.ORDERS, **rpc.EVENTS}), st.data())
def test_a_message_with_one_field_more_less_or_of_another_type_is_refused(
    message: Any, data: st.DataObject
) -> None:
    decode = rpc.decode_order if type(message).__name__ in rpc.ORDERS else rpc.decode_event
    found = json.loads(rpc.encode(message))
    needed = [one.name for one in fields(message) if one.default is MISSING]
    broken = [{**found, "more": 1}]
    if needed:
        name = data.draw(st.sampled_from(needed))
        broken.append({key: value for key, value in found.items() if key != name})
        other: Any = 1.5 if not isinstance(found[name], float) else "1.5"
        broken.append({**found, name: other})
    for one in broken:
        with pytest.raises(rpc.MessageError):
            decode(json.dumps(one).encode())


@given(st.binary(max_size=60))
def test_other_lines_are_refused_with_one_kind_of_error(line: bytes) -> None:
    for decode in (rpc.decode_order, rpc.decode_event):
        with pytest.raises(rpc.MessageError):
            decode(line)


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"type": ["Close"]}', b'{"type": "Ready", "port": true}'])
def test_what_no_message_can_be_is_refused(line: bytes) -> None:
    with pytest.raises(rpc.MessageError):
        rpc.decode_event(line)


def test_an_unknown_message_is_named() -> None:
    with pytest.raises(rpc.MessageError, match=r"'Fly' is not a message.*OpenStudy"):
        rpc.decode_order(b'{"type": "Fly"}')


def test_a_message_of_the_other_direction_is_refused() -> None:
    with pytest.raises(rpc.MessageError, match="'Ready'"):
        rpc.decode_order(rpc.encode(rpc.Ready(1)))


def test_secrets_stand_in_no_repr(settings: Settings) -> None:
    assert "hunter2" not in repr(rpc.Start("hunter2", "hunter2", settings))
