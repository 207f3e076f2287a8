"""Programs that are run as tools: what they are given, and what is left of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from dicomdock.config.tools import parse_tool
from dicomdock.errors import ProfileError
from dicomdock.tools.command import run_command
from dicomdock.tools.marks import MARK
from dicomdock.tools.step import Run

GIVEN = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "XDG_CACHE_HOME",
)
SECRET = ("DICOMDOCK_TOKEN", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "PGPASSWORD", "SSH_AUTH_SOCK", "MY_PATH")


@pytest.mark.slow
def test_a_program_is_given_what_it_needs_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*GIVEN, *SECRET, "MODEL_FOLDER"):
        monkeypatch.setenv(name, os.environ.get(name) or f"of {name}")
    code = "import json, os; print(json.dumps(sorted(os.environ)))"
    command = [sys.executable, "-c", code]
    (step,) = run_command(command, tmp_path, Run("t", 60), most=1, environment=("MODEL_FOLDER", "MISSING"))
    seen = json.loads(step.line)
    assert {*GIVEN, "MODEL_FOLDER", MARK} <= {*seen}
    assert not {*SECRET} & {*seen}


@pytest.mark.parametrize("named", ["TOKEN=secret", "A B", "", "é"])
def test_a_declaration_names_variables_and_holds_no_values(named: str) -> None:
    command = 'command = ["t", "{input}", "{output}"]'
    text = f'name = "t"\n{command}\nenvironment = [{json.dumps(named)}]\n[labels]\n1 = "Liver"\n'
    with pytest.raises(ProfileError, match="environment holds names of variables"):
        parse_tool(text.encode(), "t.toml")


def test_a_service_has_no_environment() -> None:
    text = 'name = "t"\nendpoint = "http://127.0.0.1/"\nenvironment = ["A"]\n[labels]\n1 = "Liver"\n'
    with pytest.raises(ProfileError, match="Only a program is given variables"):
        parse_tool(text.encode(), "t.toml")
