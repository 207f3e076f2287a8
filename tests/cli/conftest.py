"""Run commands as the user does, in this process or in one of their own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from tests.servers.orthanc import Orthanc

from dicomdock.cli import app, main


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its JSON document, which must be everything on standard output."""
        return json.loads(self.out)


Run = Callable[..., Ran]


BUILD = app.program


@cache
def built(modules: Sequence[str], as_json: bool) -> Any:
    """Build a program once for all commands of this process; one that answers in JSON is another."""
    return BUILD(modules)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path) -> Run:
    """Return a function that runs ``dicomdock WORDS...`` in this process; ``stdin`` is what it reads."""

    def run(*words: object, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setattr(app, "program", partial(built, as_json="--json" in words))
        capfd.readouterr()
        code = main([str(word) for word in words])
        said = capfd.readouterr()
        assert "-v" in words or "Traceback" not in said.err
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def process(home: Path) -> Run:
    """Return a function that runs ``dicomdock WORDS...`` as a process of its own."""

    def process(*words: object, stdin: str = "") -> Ran:
        run = subprocess.run(
            [Path(sys.executable).with_name("dicomdock"), *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ,
        )
        return Ran(run.returncode, run.stdout, run.stderr)

    return process


@pytest.fixture
def hospital(run: Run, orthanc: Orthanc) -> Orthanc:
    """Return an Orthanc that is known as ``hospital``."""
    added = run(
        "server",
        "add",
        "hospital",
        orthanc.url,
        "--user",
        orthanc.user,
        "--password-stdin",
        stdin=orthanc.password,
    )
    assert added.code == 0, added.err
    return orthanc
