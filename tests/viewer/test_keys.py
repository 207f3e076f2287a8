"""The table of actions and their keys."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.viewer.shell.keys import ACTIONS, BROWSERS, NAMED, by_context, chosen, label, labels, problem

KEYS = [key for action in ACTIONS for key in action.keys]
SOME_KEY = st.sampled_from([*KEYS, *BROWSERS, "", "x", "Alt+q", "Ctrl+Shift+m"])
CHANGEABLE = [action.name for action in ACTIONS if action.changeable]


@given(st.dictionaries(st.sampled_from([*NAMED, "of another version"]), SOME_KEY | st.integers()))
def test_no_two_actions_share_a_key_whatever_the_preferences_say(changes: dict[str, object]) -> None:
    keys = chosen(changes)
    for context, actions in by_context(keys).items():
        given_here = [keys[action.name] for action in ACTIONS if action.when == context]
        assert sorted(chain.from_iterable(given_here)) == sorted(actions)
    assert all(keys[action.name] == action.keys for action in ACTIONS if not action.changeable)


@given(st.sampled_from(CHANGEABLE), SOME_KEY)
def test_a_changed_key_works_and_is_what_help_says_or_its_problem_is_named(name: str, key: str) -> None:
    usual = chosen({})
    if said := problem(usual, name, key):
        assert label(key) in said
        return
    keys = chosen({name: key})
    assert labels(keys)[name] == label(key)
    assert by_context(keys)[NAMED[name].when].get(key) == (name if key else None)
    assert {one: given for one, given in keys.items() if one != name} == {
        one: given for one, given in usual.items() if one != name
    }


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("r", "r"),
        ("Shift+r", "Shift+R"),
        ("Ctrl+Shift+z", "Ctrl+Shift+Z"),
        ("ArrowUp", "Up"),
        ("Space", "Space"),
        ("+", "+"),
        ("Ctrl++", "Ctrl++"),
        ("", ""),
    ],
)
def test_keys_are_named_as_keyboards_name_them(key: str, words: str) -> None:
    assert label(key) == words
