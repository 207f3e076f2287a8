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
        errors.NotFound("Not there."),
        errors.RemoteNotFound("Not there.", status=404, url="http://a/b", body_excerpt="no"),
        errors.NotInArchive("Not there.", remedy="Pull it."),
        errors.NotAcceptable("No such form.", status=415),
        errors.UnreadableFile("No header."),
        errors.AuthenticationError("No.", server="http://a", login="Basic as alice", status=403),
        errors.Unreachable("No answer.", url="http://a"),
        errors.UnsupportedByServer("It cannot.", feature="STOW-RS"),
        errors.GeometryError("Gaps.", ["1.2"]),
        errors.LaunchError("Twice."),
        errors.ReadOnlyHome("/a/b", "The list"),
        errors.MissingDependency("trame-slicer", "pip install dicomdock[viewer]"),
    ],
)
def test_an_error_crosses_processes_with_its_facts(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


# What a client of the origin server gets, and a script that calls the command line: both are contracts.
CONTRACT = {
    errors.InvalidInput: (400, 2),
    errors.NotFound: (404, 1),
    errors.NotInArchive: (404, 1),
    errors.RemoteNotFound: (404, 1),
    errors.NotAcceptable: (406, 1),
    errors.Forbidden: (403, 1),
    errors.UnsupportedByServer: (501, 1),
    errors.NoSpace: (507, 1),
    errors.ArchiveLocked: (503, 1),
    errors.IndexDamaged: (503, 1),
    errors.AuthenticationError: (502, 4),
    errors.Unreachable: (502, 1),
    errors.ToolError: (502, 1),
    errors.TimedOut: (504, 1),
    errors.TransactionError: (502, 1),
    errors.ServerFault: (502, 1),
    errors.WireError: (502, 1),
    errors.InflatesTooFar: (502, 1),
    errors.MultipartError: (502, 1),
    errors.UnreadableFile: (400, 1),
    errors.Cancelled: (500, 130),
    errors.EmptyResult: (500, 3),
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_an_error_states_its_http_status_and_exit_code(name):
    kind = ALL[name]
    error = kind("optional part", "install it.") if kind is errors.MissingDependency else kind("No.")
    assert (error.http_status, error.exit_code) == CONTRACT.get(kind, (500, 1))


def test_a_media_type_that_is_not_taken_is_distinguished_from_one_that_is_not_given():
    assert errors.NotAcceptable("No.", status=415).http_status == 415


def test_absence_is_one_kind_for_every_source_and_two_by_where():
    assert issubclass(errors.NotInArchive, errors.NotFound)
    assert issubclass(errors.NotInArchive, errors.ArchiveError)
    assert issubclass(errors.RemoteNotFound, errors.NotFound)
    assert issubclass(errors.RemoteNotFound, errors.TransactionError)
    assert not issubclass(errors.NotInArchive, errors.TransactionError)
    assert not issubclass(errors.RemoteNotFound, errors.ArchiveError)


def test_the_remedy_is_the_last_sentence():
    assert str(errors.NoSpace("The disk is full.")) == "The disk is full. Free some space and try again."
    assert str(errors.NoSpace("The disk is full.", remedy="Evict.")) == "The disk is full. Evict."
    assert str(errors.InvalidInput("No UID.")) == "No UID."
