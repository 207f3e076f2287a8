"""Decoding apart: what breaks there breaks nothing here."""

import os
import re
import signal

import pytest

from dicomdock.errors import InvalidInput, NotAcceptable
from dicomdock.origin.workers import Workers


def die():
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse():
    raise InvalidInput("There is no such frame.")


def hang():
    re.match("(a+)+$", "a" * 60 + "b")  # in C code that holds the interpreter's lock, as a decoder may


@pytest.fixture
def workers():
    workers = Workers(1)
    yield workers
    workers.close()


@pytest.mark.slow
def test_a_crash_is_one_sentence_and_the_next_call_works(workers):
    with pytest.raises(NotAcceptable, match="decoder failed"):
        workers.call(die)
    assert workers.call(os.getpid) != os.getpid()


@pytest.mark.slow
def test_a_hang_ends():
    workers = Workers(1, patience=1)
    with pytest.raises(NotAcceptable, match="took too long"):
        workers.call(hang)
    workers.close()


@pytest.mark.slow
def test_errors_arrive_as_they_are(workers):
    with pytest.raises(InvalidInput, match="no such frame"):
        workers.call(refuse)
