"""Registration on macOS: the commands, recorded."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.register import register, unregister
from dicomdock.launch.register.macos import MacRegistrar


class Mac:
    """Answers the commands as a Mac would, as far as they are asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.scripts: list[str] = []
        self.schemes: list[str] = []
        self.defaults: dict[str, str] = {}
        self.applet = Path()

    def __call__(self, command: Sequence[str], text: str) -> tuple[int, str]:
        name = Path(command[0]).name
        if name == "osascript":
            return self._script(command[-1])
        if name.startswith("python"):
            return 0, ""
        if "Print" in command[2]:
            return (
                (0, "Array {\n" + "".join(f"    {s}\n" for s in self.schemes) + "}\n")
                if self.schemes
                else (1, "")
            )
        self.calls.append(tuple(command))
        if name == "osacompile":
            self.scripts.append(text)
            self.applet = Path(command[2])
            (self.applet / "Contents").mkdir(parents=True)
        if name == "PlistBuddy" and len(command) > 4:
            self.schemes = [word.split()[-1] for word in command if "URLSchemes:" in word]
        if name == "lsregister" and command[1] == "-u":
            self.schemes = []
        return 0, ""

    def _script(self, script: str) -> tuple[int, str]:
        if "URLForApplicationToOpenURL" in script:
            scheme = script.split('URLWithString("')[1].split("://")[0]
            path = self.defaults.get(scheme, "")
            return 0, path if Path(path).exists() or "Slicer" in path else ""
        if "bundleIdentifier" in script:
            return 0, "org.slicer.slicer\n"
        scheme, bundle = script.split('$("')[1].split('"')[0], script.split('$("')[2].split('"')[0]
        self.defaults[scheme] = (
            "/Applications/Slicer.app" if "slicer.slicer" in bundle else os.fspath(self.applet)
        )
        return 0, ""


@pytest.fixture
def mac() -> Mac:
    return Mac()


@pytest.fixture
def system(settings: Settings, mac: Mac, tmp_path: Path) -> MacRegistrar:
    return MacRegistrar(settings, home=tmp_path / "jo", run=mac)


def test_the_applet(system: MacRegistrar, mac: Mac) -> None:
    assert register(system, ["dicomdock"])[0].state == "ours"
    app = os.fspath(system.applet)
    names = [Path(call[0]).name for call in mac.calls]
    assert names == ["osacompile", "PlistBuddy", "PlistBuddy", "codesign", "lsregister"]
    assert mac.calls[2] == (
        "/usr/libexec/PlistBuddy",
        "-c", "Add :CFBundleIdentifier string org.dicomdock.launcher",
        "-c", "Add :LSUIElement bool true",
        "-c", "Add :CFBundleURLTypes array",
        "-c", "Add :CFBundleURLTypes:0:CFBundleURLName string org.dicomdock.launcher",
        "-c", "Add :CFBundleURLTypes:0:CFBundleURLSchemes array",
        "-c", "Add :CFBundleURLTypes:0:CFBundleURLSchemes:0 string dicomdock",
        f"{app}/Contents/Info.plist",
    )  # fmt: skip
    assert mac.scripts == [
        "on open location clicked\n"
        f'\tdo shell script quoted form of "{system.wrapper}" & " " & quoted form of clicked & '
        '" >/dev/null 2>&1 &"\n'
        "end open location\n"
    ]
    assert os.access(system.wrapper, os.X_OK)
    unregister(system)
    assert not system.applet.exists()
    assert not system.wrapper.exists()


def test_slicer_is_asked_for_and_given_back(system: MacRegistrar, mac: Mac) -> None:
    mac.defaults["slicer"] = "/Applications/Slicer.app"
    own, slicer = register(system)
    assert (own.state, slicer.state, slicer.handler) == ("ours", "other", "Slicer (/Applications/Slicer.app)")
    assert register(system, ["slicer"])[0].state == "ours"
    assert mac.schemes == ["dicomdock", "slicer"]
    unregister(system, ["slicer"])
    assert mac.defaults["slicer"] == "/Applications/Slicer.app"
    assert system.status("dicomdock").state == "ours"


def test_what_is_broken_is_reported(system: MacRegistrar, mac: Mac) -> None:
    register(system, ["dicomdock"])
    system.wrapper.unlink()
    assert "is gone; run `dicomdock register --scheme dicomdock`" in system.status("dicomdock").remedy
    shutil.rmtree(system.applet)
    assert system.status("dicomdock").state == "broken"


def test_a_tool_that_fails_is_named(settings: Settings, tmp_path: Path, mac: Mac) -> None:
    def run(command: Sequence[str], text: str) -> tuple[int, str]:
        return (1, "no identity found") if "codesign" in command[0] else mac(command, text)

    with pytest.raises(LaunchError, match=r"codesign could not build .* no identity found"):
        register(MacRegistrar(settings, home=tmp_path / "jo", run=run), ["dicomdock"])
