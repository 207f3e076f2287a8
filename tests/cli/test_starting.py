"""Starting: a command imports what it uses, and is the same command as in the whole program."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest
from tests.builders import ct_series
from tests.cli.test_console import ALL

from dicomdock.cli.app import GROUPS, program, run
from dicomdock.cli.output import Console

HELP = ["--help"]


def names(module: str) -> list[str]:
    """Return the names that a module adds to the program, as typer knows them."""
    app = program([module])
    return [name for name in app.commands if name]


@pytest.fixture(scope="module")
def whole():
    """The program with all of its commands."""
    return program()


@pytest.mark.parametrize("module", GROUPS)
def test_the_table_of_groups_names_the_commands_of_each_module(module):
    assert importlib.import_module(f"dicomdock.cli.{module}").commands
    assert names(module) == [*GROUPS[module]]


@pytest.mark.slow
@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_command_alone_has_the_help_that_it_has_in_the_whole_program(words, whole, capsys):
    assert run([*words, *HELP]) == 0
    alone = capsys.readouterr().out
    whole([*words, *HELP], prog_name="dicomdock", obj=Console(), standalone_mode=False)
    assert alone == capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("transfers",), ("--json", "--home", "list", "transfers"), ("-v", "transfers", "list")]
)
def test_only_the_module_of_the_command_is_imported(arguments, tmp_path):
    code = (
        "import sys; from dicomdock.cli.app import run; run(sys.argv[1:]);"
        "print(*(name for name in sys.modules if name.startswith('dicomdock.cli.')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "DICOMDOCK_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.rpartition(".")[2] for name in done.stderr.splitlines()[-1].split()}
    assert loaded & set(GROUPS) == {"transfers", "transfer"}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("--help",), ("lst",), ("--json", "-h")])
def test_what_names_no_command_sees_all_of_them(arguments, capsys):
    code = run([*arguments])
    shown = capsys.readouterr()
    assert code in (0, 2)
    if code == 0 or not arguments:
        assert all(name in shown.out for group in GROUPS.values() for name in group)
    else:
        assert "list" in shown.err


# What a short command must never load, each for a tenth of a second or more.
HEAVY = {
    "sqlalchemy",
    "rich",
    "numpy",
    "pydicom",
    "highdicom",
    "nicegui",
    "keyring",
    "pydantic",
    "starlette",
    "uvicorn",
    "psycopg",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("list",), ("search", "--local", "PatientID=1"), ("verify",), ("transfers",), ("server", "list")],
    ids=" ".join,
)
def test_a_short_command_loads_nothing_heavy(arguments, tmp_path):
    code = (
        "import sys; from dicomdock.cli.app import run; code = run(sys.argv[1:]);"
        "print(code, *{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "DICOMDOCK_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    ended, *loaded = done.stderr.split()
    assert ended == "0", done.stdout
    assert not HEAVY.intersection(loaded)


def test_a_pull_of_what_is_there_loads_nothing_heavy(orthanc, run, home):
    orthanc.add(*(instance.data for instance in ct_series(2)))
    run("server", "add", "box", orthanc.url, "--user", "alice", "--password-stdin", stdin="secret\n")
    run("pull", "PatientID=P1")
    code = (
        "import sys; from dicomdock.cli.app import run; run(['pull', 'PatientID=P1']);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "here already" in done.stdout
    assert not HEAVY.intersection(done.stderr.split())
