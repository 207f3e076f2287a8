"""Programs beside a test: what they print arrives, and what they do not do is shown."""

from __future__ import annotations

import signal

import pytest

from tests.programs import python

SPEAKS = """
import sys
print("first", flush=True)
print("a warning", file=sys.stderr, flush=True)
print('{"answer":\\n 42}', flush=True)
print("heard", sys.stdin.readline(), flush=True)
sys.exit(3)
"""
HANGS = "import signal; print('here I am', flush=True); signal.pause()"
LEAVES_A_CHILD = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]).pid, flush=True)
"""


def test_lines_documents_and_the_exit_code_are_read():
    with python(SPEAKS) as program:
        assert program.line("irs") == "first"
        assert program.json() == {"answer": 42}
        program.write("this\n")
        assert program.line("heard") == "heard this"
        assert program.ends() == 3
        assert program.stderr == "a warning\n"


def test_a_program_that_ends_too_early_is_shown_whole():
    with python("import sys; print('out'); sys.exit('err')", stdin="") as program:
        with pytest.raises(AssertionError, match=r"(?s)no line with 'ready'.*code 1.*out\n.*err\n"):
            program.line("ready")
        with pytest.raises(AssertionError, match="no JSON document"):
            program.json()


@pytest.mark.slow
def test_a_program_that_hangs_is_shown_whole_and_killed():
    with python(HANGS, limit=120) as program:
        program.line("here")
        program.limit = 0.2
        with pytest.raises(AssertionError, match=r"(?s)within 0.2 s \(runs\).*here I am"):
            program.line("ready")
        with pytest.raises(AssertionError, match=r"(?s)did not end within 0.2 s.*here I am"):
            program.ends()
        program.limit = 120
    assert program.ends() == -signal.SIGKILL


@pytest.mark.slow
def test_what_a_program_started_ends_with_it():
    with python(LEAVES_A_CHILD) as program:
        program.line()
        assert program.ends_within(60)
        program.limit = 0.2
        with pytest.raises(AssertionError, match="holds its output"):
            program.ends()
        program.limit = 120
    assert program.ends() == 0  # the end of its output was seen, so the child has ended


def test_much_output_does_not_stop_a_program():
    with python("import sys; sys.stderr.write('x' * 1_000_000); print('y' * 1_000_000)") as program:
        assert program.ends() == 0
        assert len(program.stderr) == 1_000_000
        assert program.line() == "y" * 1_000_000
