"""Registration on Linux with the real xdg-mime, in a home of the test's own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dicomdock.config.settings import Settings
from dicomdock.errors import InvalidInput, LaunchError
from dicomdock.launch.register import register, status, unregister
from dicomdock.launch.register.linux import LinuxRegistrar

pytestmark = pytest.mark.skipif(not shutil.which("xdg-mime"), reason="needs xdg-utils")
OTHER = (
    "[Desktop Entry]\nType=Application\nName=3D Slicer\nExec=/bin/false %u\n"
    "MimeType=x-scheme-handler/slicer;\n"
)


@pytest.fixture
def system(settings: Settings) -> LinuxRegistrar:
    return LinuxRegistrar(settings)


def default(scheme: str) -> str:
    command = ["xdg-mime", "query", "default", f"x-scheme-handler/{scheme}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def other_program(home: Path) -> None:
    applications = home / ".local/share/applications"
    applications.mkdir(parents=True)
    (applications / "slicer.desktop").write_text(OTHER)
    subprocess.run(["xdg-mime", "default", "slicer.desktop", "x-scheme-handler/slicer"], check=True)


@pytest.mark.slow
def test_registering_takes_our_scheme_and_the_free_one(home: Path, system: LinuxRegistrar) -> None:
    assert [(entry.scheme, entry.state) for entry in register(system)] == [
        ("dicomdock", "ours"),
        ("slicer", "ours"),
    ]
    assert default("dicomdock") == default("slicer") == "dicomdock-url.desktop"
    assert system.status("weasis").state == "free"
    lines = system.desktop_file.read_text().splitlines()
    assert f"Exec={home}/.local/share/dicomdock/bin/dicomdock-open %u" in lines
    assert "MimeType=x-scheme-handler/dicomdock;x-scheme-handler/slicer;" in lines
    assert os.access(system.wrapper, os.X_OK)
    if shutil.which("desktop-file-validate"):
        subprocess.run(["desktop-file-validate", system.desktop_file], check=True)


@pytest.mark.slow
def test_registering_twice_changes_nothing(system: LinuxRegistrar) -> None:
    register(system)
    before = system.desktop_file.read_text()
    assert register(system)[0].state == "ours"
    assert system.desktop_file.read_text() == before


@pytest.mark.slow
def test_another_program_keeps_slicer_until_the_user_says_so_and_gets_it_back(
    home: Path, system: LinuxRegistrar
) -> None:
    other_program(home)
    own, slicer = register(system)
    assert (own.state, slicer.state) == ("ours", "other")
    assert slicer.handler == "3D Slicer (slicer.desktop)"
    assert "dicomdock register --scheme slicer" in slicer.remedy
    assert register(system, ["slicer://"])[0].state == "ours"
    register(system, ["slicer"])  # once more: what was before is not forgotten
    unregister(system)
    assert default("slicer") == "slicer.desktop"
    assert default("dicomdock") == ""


@pytest.mark.slow
def test_unregistering_leaves_nothing_behind(home: Path, system: LinuxRegistrar) -> None:
    (home / ".config").mkdir()
    lists = home / ".config/mimeapps.list"
    lists.write_text("[Default Applications]\ntext/html=browser.desktop\n")
    register(system)
    assert [entry.state for entry in unregister(system)] == ["free", "free", "free"]
    assert not system.desktop_file.exists()
    assert not system.wrapper.exists()
    assert "dicomdock" not in lists.read_text()
    assert "text/html=browser.desktop" in lists.read_text()
    unregister(system)  # nothing to do is not an error


@pytest.mark.slow
def test_giving_back_one_scheme_keeps_the_others(system: LinuxRegistrar) -> None:
    register(system)
    unregister(system, ["slicer"])
    assert (system.status("dicomdock").state, system.status("slicer").state) == ("ours", "free")


@pytest.mark.slow
def test_a_broken_registration_says_what_to_do(system: LinuxRegistrar, settings: Settings) -> None:
    register(system)
    system.wrapper.write_text(system.wrapper.read_text().replace("exec ", "exec /gone"))
    assert "/gone" in system.status("slicer").remedy
    assert system.status("slicer").state == "broken"
    system.wrapper.chmod(0o644)
    assert "may not be run" in system.status("slicer").remedy
    system.wrapper.unlink()
    assert (
        "dicomdock-open, is gone; run `dicomdock register --scheme slicer`" in system.status("slicer").remedy
    )
    register(system, ["slicer"])
    elsewhere = LinuxRegistrar(
        Settings(*(settings.config.parent / "b" / name for name in ("config", "archive", "state")))
    )
    assert "another installation" in elsewhere.status("slicer").remedy
    system.desktop_file.write_text(system.desktop_file.read_text().replace(" %u", " --url=%u"))
    assert "has been changed" in system.status("slicer").remedy
    system.desktop_file.unlink()
    assert {entry.state for entry in status(system)} <= {"broken", "free"}


def test_without_xdg_utils_the_remedy_is_to_install_it(settings: Settings) -> None:
    def nothing(command: object, text: str) -> tuple[int, str]:
        return (127, "xdg-mime is not installed") if "xdg-mime" in str(command) else (0, "")

    system = LinuxRegistrar(settings, run=nothing)
    assert "sudo apt install xdg-utils" in system.status("dicomdock").remedy
    with pytest.raises(LaunchError, match="xdg-utils"):
        register(system, ["dicomdock"])


def test_a_desktop_that_does_not_take_it_is_reported(settings: Settings) -> None:
    system = LinuxRegistrar(settings, run=lambda command, text: (0, ""))
    with pytest.raises(LaunchError, match="settings of default applications"):
        register(system, ["dicomdock"])


def test_a_home_with_blanks_is_quoted(tmp_path: Path, settings: Settings) -> None:
    environment = {"HOME": os.fspath(tmp_path / "Jo $Doe 100%"), "PATH": os.environ["PATH"]}
    calls: list[str] = []
    system = LinuxRegistrar(
        settings,
        environment=environment,
        run=lambda command, text: calls.append(command[0]) or (0, "dicomdock-url.desktop"),
    )
    register(system, ["dicomdock"])
    (line,) = [line for line in system.desktop_file.read_text().splitlines() if line.startswith("Exec=")]
    assert line == f'Exec="{tmp_path}/Jo \\\\$Doe 100%%/.local/share/dicomdock/bin/dicomdock-open" %u'


def test_only_known_schemes(system: LinuxRegistrar) -> None:
    with pytest.raises(InvalidInput):
        register(system, ["https"])
