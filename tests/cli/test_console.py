"""What a person sees: a bar on a terminal, hidden passwords, help with examples, completion."""

from __future__ import annotations

import io
import os
import pty
import sys
from pathlib import Path

import pytest
from tests.builders import ct_series

from dicomdock.cli.app import program
from dicomdock.cli.formatting import plain, size
from dicomdock.cli.output import Console
from dicomdock.errors import InvalidInput

PROGRAM = Path(sys.executable).with_name("dicomdock")


def commands(command, path=()):
    inner = getattr(command, "commands", {})
    if not inner:
        yield path
    for name, below in inner.items():
        yield from commands(below, (*path, name))


ALL = sorted(commands(program()))


def on_a_terminal(*words: object, typed: str = "", after: str = "") -> tuple[int, str]:
    """Run a command on a terminal of its own, type when it asks; what it shows comes back."""
    process, console = pty.fork()
    if process == 0:
        os.execv(PROGRAM, [str(PROGRAM), *map(str, words)])
    shown = b""
    try:
        while chunk := os.read(console, 65536):
            shown += chunk
            if typed and after.encode() in shown:
                os.write(console, typed.encode())
                typed = ""
    except OSError:
        pass  # Linux ends a terminal so
    os.close(console)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()


def test_a_password_is_typed_unseen_and_a_bar_shows_the_way(orthanc, run):
    orthanc.add(*(instance.data for instance in ct_series(3)))
    code, shown = on_a_terminal(
        "server", "add", "box", orthanc.url, "--user", "alice", typed="secret\n", after="Password: "
    )
    assert code == 0, shown
    assert "Password: " in shown
    assert "secret" not in shown.replace("The secret is stored", "").replace("secrets.json", "")
    code, shown = on_a_terminal("pull", "PatientID=P1")
    assert code == 0, shown
    assert "pull box" in shown
    assert "Complete: all 3 instances" in shown


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_help_with_the_options_that_work_everywhere(run, words):
    helped = run(*words, "--help")
    assert helped.code == 0
    for option in ("--json", "--home", "--verbose"):
        assert option in helped.out


def test_the_contract_names_every_command():
    contract = [
        "run",
        "open",
        "register",
        "unregister",
        "search",
        "pull",
        "push",
        "import",
        "export",
        "list",
        "remove",
        "verify",
        "pin",
        "unpin",
        "evict",
        "serve",
        "doctor",
    ]
    groups = {
        "server": "add list show test use remove login logout",
        "transfers": "list resume cancel",
        "trust": "list add revoke",
    }
    wanted = {(word,) for word in contract}
    wanted |= {(group, word) for group, words in groups.items() for word in words.split()}
    assert wanted <= set(ALL)


@pytest.mark.slow
def test_a_shell_is_taught_the_commands(process, monkeypatch):
    monkeypatch.setenv("_DICOMDOCK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "dicomdock ser")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert process().out.split() == ["server", "search", "serve"] or {"server", "serve"} <= set(
        process().out.split()
    )


@pytest.mark.slow
def test_the_version_needs_nothing(process):
    assert process("--version").out.startswith("dicomdock ")
    assert process("--json", "--version").out == process("--version").out


def test_words_for_people():
    assert [size(count) for count in (0, 999, 81_200_000, 3e13)] == [
        "0 bytes",
        "999 bytes",
        "81.2 MB",
        "30.0 TB",
    ]
    assert plain("a\nb\x1b[0m\x9bc\u202e") == "a b?[0m?c?"
    assert plain("Müller^Jürgen 山田") == "Müller^Jürgen 山田"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
@pytest.mark.parametrize(
    ("line", "password"), [(b"pass\r\n", "pass"), (b"\n", ""), (b"  two  \n", "  two  ")]
)
def test_a_password_file_of_windows_and_an_empty_password(monkeypatch, encoding, line, password):
    for mark in (b"", b"\xef\xbb\xbf"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mark + line), encoding=encoding))
        assert Console().secret("Password", from_stdin=True) == password


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\nmore\r\n"])
def test_a_password_file_in_utf_16(monkeypatch, encoding, end):
    """As Windows PowerShell's redirection writes it; \u010a holds the byte of a line feed."""
    written = f"\ufeffpä\u010ass{end}".encode(encoding)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written), encoding="utf-8"))
    assert Console().secret("Password", from_stdin=True) == "pä\u010ass"


def test_a_password_file_that_is_not_text_is_refused_by_a_sentence(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"p\xe4ss\n"), encoding="utf-8"))
    with pytest.raises(InvalidInput, match="The password is not text in UTF-8"):
        Console().secret("Password", from_stdin=True)


def test_no_password_at_all_is_no_empty_one(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b""), encoding="utf-8"))
    with pytest.raises(InvalidInput, match="empty"):
        Console().secret("Password", from_stdin=True)


@pytest.mark.slow
def test_several_studies_are_removed_on_a_terminal_only_when_that_is_meant(run, tmp_path):
    made = [*ct_series(1), *ct_series(1), *ct_series(1)]
    for index, one in enumerate(made):
        (tmp_path / f"{index}.dcm").write_bytes(one.data)
    assert run("import", tmp_path).code == 0
    code, shown = on_a_terminal("remove", made[0].study, made[1].study, typed="n\n", after="[y/N]")
    assert code == 2 and "Remove 2 studies" in shown and "--yes" in shown
    assert len(run("list", "--json").json["matches"]) == 3
    code, shown = on_a_terminal("remove", made[0].study)
    assert code == 0, shown  # one study is what was named
    code, shown = on_a_terminal("remove", made[1].study, made[2].study, typed="y\n", after="[y/N]")
    assert code == 0, shown
    assert run("list", "--json").json["matches"] == []


@pytest.mark.slow
def test_yes_removes_several_studies_without_asking(run, tmp_path):
    made = [*ct_series(1), *ct_series(1)]
    for index, one in enumerate(made):
        (tmp_path / f"{index}.dcm").write_bytes(one.data)
    assert run("import", tmp_path).code == 0
    code, shown = on_a_terminal("remove", made[0].study, made[1].study, "--yes")
    assert code == 0 and "[y/N]" not in shown
