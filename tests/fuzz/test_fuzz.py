"""A small sample of the fuzzers (``make fuzz`` reads many more), and that they find what they look for."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import numpy as np
import pytest

from dicomdock.errors import WireError
from tests.builders import ct_series
from tests.fuzz import elements, worker
from tests.fuzz.runner import run
from tests.fuzz.targets import NAMES, Target
from tests.fuzz.worker import read_one

INPUTS = 25


@pytest.mark.slow
@pytest.mark.parametrize("target", NAMES)
def test_no_input_ends_outside_the_error_tree_or_beyond_its_bounds(target, tmp_path):
    outcome = run(target, INPUTS, tmp_path)
    assert outcome.read >= INPUTS
    assert not outcome.faults, list(outcome.faults.values())


def test_a_tree_of_elements_is_the_file():
    data = ct_series(1)[0].data
    tree = elements.parse(data)
    assert elements.encode(tree) == data
    assert elements.mutate(tree, Random(1)) == elements.mutate(tree, Random(1)) != data
    assert elements.encode(tree) == data


def _loops(_: bytes) -> None:
    sum(range(10_000_000))


def _raises(_: bytes) -> None:
    raise KeyError("x")


def _refuses(_: bytes) -> None:
    raise WireError("No.")


@pytest.mark.slow
@pytest.mark.parametrize(("read", "kind"), [(_loops, "time"), (_raises, "KeyError")])
def test_each_kind_of_fault_is_found(read, kind, monkeypatch):
    monkeypatch.setattr(worker, "SECONDS", 0.05)
    found = read_one(Target((b"",), [read]), b"x")
    assert found is not None
    assert found["kind"] == kind


def test_an_error_of_ours_is_no_fault():
    assert read_one(Target((b"",), [_refuses]), b"x") is None


def filling(folder: Path) -> Target:
    """Make a target whose reader takes more memory than an input may."""
    return Target((b"fine",), [lambda data: None if data == b"fine" else np.ones(700 << 20, np.uint8)])


@pytest.mark.slow
def test_a_reader_that_takes_too_much_memory_is_found(tmp_path):  # the peak of a process of its own
    outcome = run("tests.fuzz.test_fuzz:filling", 3, tmp_path)
    assert outcome.read == 3
    assert {fault.kind for fault in outcome.faults.values()} == {"memory"}


def aborting(folder: Path) -> Target:
    """Make a target whose process is ended by an input."""
    return Target((b"fine",), [lambda data: None if data == b"fine" else os.abort()])


@pytest.mark.slow
def test_a_process_that_ends_is_a_fault_of_its_input(tmp_path):
    outcome = run("tests.fuzz.test_fuzz:aborting", 3, tmp_path)
    assert outcome.read == 3
    (fault,) = outcome.faults.values()
    assert fault.kind == f"ended with -{signal.SIGABRT}"
    assert fault.data not in (b"", b"fine")
