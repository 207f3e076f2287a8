"""Registration on Windows, on a registry in memory."""

import json
from pathlib import Path
from typing import Any

import pytest

from dicomdock.config.settings import Settings
from dicomdock.errors import LaunchError
from dicomdock.launch.register import register, unregister
from dicomdock.launch.register.windows import WindowsRegistrar, hand_on

SLICER = r'"C:\Users\jo\Slicer 5.10\Slicer.exe" "%1"'


class Key:
    def __init__(self, root: dict[str, dict[str, list[Any]]], path: str) -> None:
        self.root, self.path = root, path.lower()

    def __enter__(self) -> "Key":
        return self

    def __exit__(self, *exc: object) -> None: ...

    def Close(self) -> None: ...


class Registry:
    """As much of winreg as we use; names of keys ignore case, as Windows' do."""

    HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE = "user", "machine"
    KEY_WRITE, KEY_ALL_ACCESS, REG_SZ = 1, 2, 1

    def __init__(self) -> None:
        self.roots: dict[str, dict[str, dict[str, list[Any]]]] = {"user": {}, "machine": {}}

    def OpenKey(self, root: str, path: str, reserved: int = 0, access: int = 0) -> Key:
        if path.lower() not in self.roots[root]:
            raise FileNotFoundError(path)
        return Key(self.roots[root], path)

    def CreateKeyEx(self, root: str, path: str, reserved: int, access: int) -> Key:
        parts = path.lower().split("\\")
        for end in range(1, len(parts) + 1):
            self.roots[root].setdefault("\\".join(parts[:end]), {})
        return Key(self.roots[root], path)

    def QueryInfoKey(self, key: Key) -> tuple[int, int, int]:
        start = key.path + "\\"
        below = {path[len(start) :].split("\\")[0] for path in key.root if path.startswith(start)}
        return len(below), len(key.root[key.path]), 0

    def EnumValue(self, key: Key, index: int) -> tuple[str, Any, int]:
        name, (value, kind) = list(key.root[key.path].items())[index]
        return name, value, kind

    def SetValueEx(self, key: Key, name: str, reserved: int, kind: int, value: Any) -> None:
        key.root[key.path][name] = [value, kind]

    def DeleteValue(self, key: Key, name: str) -> None:
        del key.root[key.path][name]

    def DeleteKey(self, root: str, path: str) -> None:
        assert not any(other.startswith(path.lower() + "\\") for other in self.roots[root])
        del self.roots[root][path.lower()]

    def write(self, path: str, value: str, root: str = "user", name: str = "") -> None:
        self.SetValueEx(self.CreateKeyEx(root, path, 0, 0), name, 0, 1, value)

    def show(self) -> str:
        """Return the user's part as a .reg file does."""
        lines = []
        for path, values in sorted(self.roots["user"].items()):
            if values:
                lines.append(f"[HKCU\\{path}]")
                lines += [
                    f"{json.dumps(name) if name else '@'}={value}"
                    for name, (value, _) in sorted(values.items())
                ]
        return "\n".join(lines)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def opener(tmp_path: Path) -> Path:
    file = tmp_path / "Scripts" / "dicomdock-open.exe"
    file.parent.mkdir()
    file.touch()
    return file


@pytest.fixture
def system(settings: Settings, registry: Registry, opener: Path) -> WindowsRegistrar:
    return WindowsRegistrar(settings, registry=registry, opener=opener, refresh=lambda: None)


def test_what_is_written(system: WindowsRegistrar, registry: Registry, opener: Path) -> None:
    assert register(system, ["dicomdock"])[0].state == "ours"
    assert registry.show() == (
        "[HKCU\\software\\classes\\dicomdock]\n"
        "@=URL:dicomdock Protocol\n"
        '"URL Protocol"=\n'
        "[HKCU\\software\\classes\\dicomdock\\defaulticon]\n"
        f"@={opener},0\n"
        "[HKCU\\software\\classes\\dicomdock\\shell\\open\\command]\n"
        f'@="{opener}" "%1"'
    )
    unregister(system)
    assert registry.show() == ""
    assert "software\\classes\\dicomdock" not in registry.roots["user"]


def slicer_was_here(registry: Registry) -> str:
    registry.write(r"Software\Classes\Slicer", "3D Slicer scene")
    registry.write(r"Software\Classes\Slicer", "", name="URL Protocol")
    registry.write(r"Software\Classes\Slicer", "kept", name="Something")
    registry.write(r"Software\Classes\Slicer\shell\open\command", SLICER)
    registry.write(r"Software\Classes\.mrb", "Slicer")
    return registry.show()


def test_slicers_own_registration_is_kept_and_restored(system: WindowsRegistrar, registry: Registry) -> None:
    before = slicer_was_here(registry)
    own, slicer = register(system)
    assert (own.state, slicer.state) == ("ours", "other")
    assert slicer.handler == r"C:\Users\jo\Slicer 5.10\Slicer.exe"
    assert register(system, ["slicer"])[0].state == "ours"
    register(system, ["slicer"])
    assert SLICER not in registry.show()
    unregister(system)
    assert registry.show() == before


def test_a_file_that_comes_to_us_is_handed_on_to_slicer(
    system: WindowsRegistrar, registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    slicer_was_here(registry)
    register(system, ["slicer"])
    scene = tmp_path / "a scene.mrb"
    scene.touch()
    started: list[list[str]] = []
    assert hand_on([str(scene)], settings, started.append)
    assert started == [[r"C:\Users\jo\Slicer 5.10\Slicer.exe", str(scene)]]
    for arguments in ([], [str(scene), "--python-code"], ["--python-code=1"], ["https://a.test"], [""]):
        assert not hand_on(arguments, settings, started.append)
    unregister(system)
    assert not hand_on([str(scene)], settings, started.append)
    assert len(started) == 1


def test_a_program_of_the_machine_comes_back_by_itself(system: WindowsRegistrar, registry: Registry) -> None:
    registry.write(r"Software\Classes\slicer\shell\open\command", SLICER, root="machine")
    assert system.status("slicer").state == "other"
    register(system, ["slicer"])
    unregister(system, ["slicer"])
    assert registry.show() == ""
    assert system.status("slicer").state == "other"


def test_somebody_who_registered_after_us_is_left_alone(system: WindowsRegistrar, registry: Registry) -> None:
    register(system, ["slicer"])
    registry.write(r"Software\Classes\slicer\shell\open\command", SLICER)
    unregister(system, ["slicer"])
    assert SLICER in registry.show()


def test_the_users_choice_in_the_settings_wins(system: WindowsRegistrar, registry: Registry) -> None:
    register(system, ["slicer"])
    choice = r"Software\Microsoft\Windows\Shell\Associations\UrlAssociations\slicer\UserChoice"
    registry.write(choice, "StratosURL", name="ProgId")
    assert "Default apps" in system.status("slicer").remedy


def test_what_is_broken_is_reported(system: WindowsRegistrar, registry: Registry, opener: Path) -> None:
    register(system, ["slicer"])
    opener.unlink()
    assert (system.status("slicer").state, "reinstall" in system.status("slicer").remedy) == ("broken", True)
    registry.write(r"Software\Classes\slicer\shell\open\command", r'"D:\old\Scripts\dicomdock-open.exe" "%1"')
    assert "another installation" in system.status("slicer").remedy
    with pytest.raises(LaunchError, match="reinstall"):
        register(system, ["slicer"])
