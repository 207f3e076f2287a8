"""Declarations, and answers of servers, of any content: a value or a sentence, never anything else."""

from __future__ import annotations

import contextlib
import json

import pytest
import tomli_w
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicomdock.config.tools import MAX_VALUE, declaration, parse_tool
from dicomdock.errors import ProfileError, ToolError
from dicomdock.tools import monai_label

words = st.text(max_size=12) | st.sampled_from(
    ["{input}", "{output}", "SCT:10200004:Liver", "http://[::1]/", "a"]
)
values = st.recursive(
    words | st.integers() | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "name",
    "command",
    "endpoint",
    "monai_label",
    "model",
    "input",
    "output",
    "timeout",
    "max_output",
    "labels",
)
GOOD = {"name": "a", "command": ["a", "{input}", "{output}"], "labels": {"1": "Liver"}}


@settings(max_examples=50)
@given(st.binary(max_size=200))
@example(b"name = 'a'\n" + b"a = [" * 2000)
@example(b"\xff\xfe")
def test_bytes_are_a_declaration_or_a_sentence(data):
    with contextlib.suppress(ProfileError):
        parse_tool(data, "t")


@pytest.mark.slow
@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=4))
def test_what_is_taken_can_be_written_and_read_again(changes):
    try:
        tool = parse_tool(tomli_w.dumps({**GOOD, **changes}).encode("utf-8", "replace"), "t")
    except ProfileError:
        return
    assert parse_tool(declaration(tool), "t") == tool
    assert all(1 <= value <= MAX_VALUE and label.name for value, label in tool.named.items())


class Answering:
    """A server that answers with this, whatever it is asked."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def request(self, *_: object, **__: object):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    def read(self, _limit: int) -> bytes:
        return self.body


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["models", "labels", "a", "strategies", "dimension"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=50)
@given(documents)
@example({"models": {"a": {"labels": {"b": float("inf")}}}})
@example({"models": {"a": {"labels": {"b": 10**400}}}})
@example({"models": {"a": {"labels": {"b": True, "c": 2.0, "d": "3"}}}})
def test_any_list_of_models_is_read_or_refused(document):
    try:
        found = monai_label.info(Answering(json.dumps(document).encode()))
    except ToolError:
        return
    for model in found.models.values():
        for value, name in model.labels.items():
            assert type(value) is int and 1 <= value <= MAX_VALUE and name
