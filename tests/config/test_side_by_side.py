"""Several processes change the same small file at the same moment; nothing that one of them saved is lost."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicomdock.config.home import make_home, private_folder, write_private
from dicomdock.config.preferences import Preferences
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import load_profiles
from dicomdock.config.settings import Settings
from dicomdock.config.toml_file import TomlFile, locked
from dicomdock.config.trust import TrustStore
from dicomdock.launch.register.common import Record
from tests.programs import Program, python

PROCESSES, SAVES = 4, 5
NAMES = {f"p{process}-{save}" for process in range(PROCESSES) for save in range(SAVES)}

# What each process does for each save; {} is the name of the save.
SAVING = {
    "servers": (
        "from dicomdock.config.servers import ServerProfile, change_profiles as change\n"
        "def save(name): change(settings, lambda known: known.with_profile(ServerProfile(name, 'http://a')))"
    ),
    "trust": (
        "from dicomdock.config.trust import TrustStore\n"
        "def save(name): TrustStore(settings).add(f'https://{name}.example')"
    ),
    "preferences": (
        "from dicomdock.config.preferences import Preferences\n"
        "def save(name): Preferences(settings).set(name, 1)"
    ),
    "registration": (
        "from dicomdock.launch.register.common import Record\n"
        "def save(name): Record(settings).set(name, 'before')"
    ),
    "secrets": (
        "from dicomdock.config.secrets import Secrets\n"
        "def save(name): Secrets(settings).set(name, 'https://a:443', 'secret')"
    ),
    "settings": (
        "from dicomdock.config.toml_file import TomlFile\n"
        "def save(name): TomlFile(settings.config / 'settings.toml').change(lambda old: {**old, name: 1})"
    ),
}


def saved(kind: str, settings: Settings) -> set[str]:
    match kind:
        case "servers":
            return set(load_profiles(settings).names)
        case "trust":
            return {
                entry.origin[len("https://") :].partition(".")[0] for entry in TrustStore(settings).origins()
            }
        case "preferences":
            return {name for name in NAMES if Preferences(settings).get(name) == 1}
        case "registration":
            return {name for name in NAMES if Record(settings).get(name) == "before"}
        case "secrets":
            return {name for name in NAMES if Secrets(settings).get(name, "https://a:443") == "secret"}
    return set(TomlFile(settings.config / "settings.toml").read())


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(SAVING))
def test_what_four_processes_save_is_all_there(kind, settings, monkeypatch):
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    code = (
        f"import sys; from pathlib import Path; from dicomdock.config.settings import Settings\n"
        f"settings = Settings(*map(Path, sys.argv[2:5]))\n{SAVING[kind]}\n"
        f"print('ready', flush=True); sys.stdin.readline()\n"
        f"for number in range({SAVES}): save(f'p{{sys.argv[1]}}-{{number}}')"
    )
    folders = [os.fspath(folder) for folder in (settings.config, settings.archive, settings.state)]
    with ExitStack() as stack:
        running = [stack.enter_context(python(code, str(number), *folders)) for number in range(PROCESSES)]
        for process in running:
            process.line("ready")
        for process in running:  # all at once
            process.write("go\n")
        for process in running:
            assert process.ends() == 0, process.stderr
    assert saved(kind, settings) == NAMES


@pytest.mark.slow
def test_six_servers_added_side_by_side_are_six(settings):
    environment = {
        **os.environ,
        "DICOMDOCK_HOME": os.fspath(settings.config.parent),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    command = [sys.executable, "-m", "dicomdock.cli", "server", "add"]
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                Program(
                    [*command, f"s{number}", f"http://127.0.0.1:9/{number}", "--untested"],
                    env=environment,
                    stdin="",
                )
            )
            for number in range(6)
        ]
        for process in running:
            assert process.ends() == 0, process.stderr
    assert set(load_profiles(settings).names) == {f"s{number}" for number in range(6)}


def test_a_change_that_fails_leaves_the_file(settings):
    file = TomlFile(settings.config / "x.toml")
    file.change(lambda _: {"a": 1})

    def fail(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        file.change(fail)
    assert file.read() == {"a": 1}
    assert sorted(path.name for path in settings.config.iterdir()) == [".x.toml.lock", "x.toml"]


def test_a_link_is_written_through(settings, tmp_path):
    real = tmp_path / "dotfiles" / "servers.toml"
    real.parent.mkdir()
    real.write_text("default = ''\n")
    settings.config.mkdir(parents=True, exist_ok=True)
    (settings.config / "servers.toml").symlink_to(real)
    TomlFile(settings.config / "servers.toml").change(lambda old: {**old, "b": 2})
    assert TomlFile(real).read() == {"default": "", "b": 2}
    assert (settings.config / "servers.toml").is_symlink()


def test_a_lock_ends_with_its_process(settings):
    file = settings.config / "x.toml"
    code = (
        "import sys; from pathlib import Path; from dicomdock.config.toml_file import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    )
    with python(code, file) as process:
        process.line("held")
        process.kill()
        with locked(file):
            pass


posix = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_every_folder_that_is_made_is_private(tmp_path):
    old = os.umask(0)
    try:
        assert not private_folder(tmp_path / "a" / "b" / "c")
        write_private(tmp_path / "a" / "x", b"")
    finally:
        os.umask(old)
    assert [mode(tmp_path / place) for place in ("a", "a/b", "a/b/c", "a/x")] == [0o700, 0o700, 0o700, 0o600]


@posix
def test_a_home_that_others_could_read_is_closed_and_reported(settings):
    for folder in (settings.config, settings.state):
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    for name in ("servers.toml", "secrets.json"):
        (settings.config / name).write_text("")
        (settings.config / name).chmod(0o644)
    (settings.state / "link").symlink_to("/etc/passwd")
    remarks = make_home(settings.config, settings.state)
    assert [str(settings.config) in remarks[0], str(settings.state) in remarks[1]] == [True, True]
    assert [mode(settings.config), mode(settings.state)] == [0o700, 0o700]
    assert mode(settings.config / "servers.toml") == 0o600
    assert mode(settings.config / "secrets.json") == 0o644, (
        "passwords that others could read are refused later"
    )
    assert make_home(settings.config, settings.state) == ()


@posix
def test_a_link_in_a_folder_s_place_is_not_closed(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    other.chmod(0o755)
    (tmp_path / "link").symlink_to(other)
    assert not private_folder(tmp_path / "link")
    assert mode(other) == 0o755
