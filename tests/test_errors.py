"""Errors: one tree, drawn truthfully, with facts as attributes."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from dicomdock import errors

ALL = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, Exception)
}


def drawn() -> dict[str, str]:
    """Read class -> base class from the tree in the module's docstring."""
    bases, above = {}, {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    (?P<lines>[│├└─ ]*)(?P<name>[A-Z]\w+)", line)
        if found is None:
            continue
        depth = len(found["lines"]) // 4
        above[depth] = found["name"]
        bases[found["name"]] = above.get(depth - 1, "Exception")
    return bases


def test_the_tree_in_the_docstring_is_the_tree():
    assert drawn() == {name: value.__base__.__name__ for name, value in ALL.items()}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_error_has_a_docstring(name):
    assert ALL[name].__doc__


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("Not there.", status=404, url="http://a/b", body_excerpt="no"),
        errors.AuthenticationError("No.", server="http://a", login="Basic as alice", status=403),
        errors.Unreachable("No answer.", url="http://a"),
        errors.UnsupportedByServer("It cannot.", feature="STOW-RS"),
        errors.GeometryError("Gaps.", ["1.2"]),
        errors.LaunchError("Twice."),
        errors.MissingDependency("trame-slicer", "pip install dicomdock[viewer]"),
    ],
)
def test_an_error_crosses_processes_with_its_facts(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
