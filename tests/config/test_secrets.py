from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import ServerProfile
from dicomdock.config.trust import TrustStore
from dicomdock.errors import ProfileError
from dicomdock.web.pool import proxy_for
from tests.conftest import PROJECT, unavailable

ORIGIN = "https://pacs.example:443"


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch):
    """Keep the tests out of the keyring of whoever runs them."""
    import keyring
    from keyring.backends.fail import Keyring

    monkeypatch.setattr(keyring, "get_keyring", Keyring)


@pytest.fixture
def secrets(settings):
    return Secrets(settings)


def test_secrets_are_kept_by_name_and_origin(secrets, settings):
    assert secrets.get("pacs", ORIGIN) is None
    secrets.set("pacs", ORIGIN, "one")
    secrets.set("pacs", "http://pacs.example:80", "two")
    secrets.set("other", ORIGIN, "three ß\n")
    again = Secrets(settings)
    assert again.get("pacs", ORIGIN) == "one"
    assert again.get("pacs", "http://pacs.example:80") == "two"
    assert again.get("other", ORIGIN) == "three ß\n"
    again.set("pacs", ORIGIN, "new")
    assert secrets.get("pacs", ORIGIN) == "new"
    again.delete("pacs", ORIGIN)
    again.delete("pacs", ORIGIN)
    assert secrets.get("pacs", ORIGIN) is None
    assert secrets.get("other", ORIGIN) == "three ß\n"


def test_the_file_is_private_and_reported(secrets, settings):
    file = settings.config / "secrets.json"
    old = os.umask(0)
    try:
        secrets.set("pacs", ORIGIN, "one")
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o777 == 0o600
    assert settings.config.stat().st_mode & 0o077 == 0
    assert str(file) in secrets.where
    assert "no keyring" in secrets.where
    assert [item.name for item in settings.config.iterdir() if item.name.startswith(".secrets")] == [
        ".secrets.json.lock"
    ]


def test_nothing_is_made_by_looking(secrets, settings):
    secrets.get("pacs", ORIGIN)
    secrets.delete("pacs", ORIGIN)
    assert not (settings.config / "secrets.json").exists()


def test_no_secret_is_shown(secrets):
    secrets.set("pacs", ORIGIN, "tr0ub4dor")
    assert "tr0ub4dor" not in repr(secrets)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_may_touch_is_refused(secrets, settings, mode):
    secrets.set("pacs", ORIGIN, "one")
    (settings.config / "secrets.json").chmod(mode)
    with pytest.raises(ProfileError, match="chmod 600"):
        secrets.get("pacs", ORIGIN)
    with pytest.raises(ProfileError, match="chmod 600"):
        secrets.set("pacs", ORIGIN, "two")


def test_a_link_is_not_followed(secrets, settings, tmp_path):
    real = tmp_path / "real.json"
    real.write_text('{"pacs at https://pacs.example:443": "stolen"}')
    real.chmod(0o600)
    settings.config.mkdir(parents=True, exist_ok=True)
    (settings.config / "secrets.json").symlink_to(real)
    with pytest.raises(ProfileError, match="cannot be read"):
        secrets.get("pacs", ORIGIN)


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_not_a_file_is_refused_at_once(secrets, settings, kind):
    settings.config.mkdir(parents=True, exist_ok=True)
    place = settings.config / "secrets.json"
    if kind == "fifo":
        os.mkfifo(place, 0o600)
    else:
        place.mkdir()
    with pytest.raises(ProfileError):
        secrets.get("pacs", ORIGIN)


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"a": 1}', "\xff"])
def test_a_damaged_file_is_reported_and_left(secrets, settings, content):
    secrets.set("pacs", ORIGIN, "one")
    file = settings.config / "secrets.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(ProfileError, match="damaged"):
        secrets.get("pacs", ORIGIN)
    with pytest.raises(ProfileError, match="damaged"):
        secrets.set("pacs", ORIGIN, "two")
    assert file.read_bytes() == content.encode("latin-1")


def test_a_folder_that_cannot_be_written(secrets, settings):
    settings.config.parent.mkdir(parents=True, exist_ok=True)
    if settings.config.exists():
        shutil.rmtree(settings.config)
    settings.config.write_text("a file in the way")
    with pytest.raises(ProfileError, match="cannot be saved"):
        secrets.set("pacs", ORIGIN, "one")


def _set_many(settings, name):
    for number in range(10):
        Secrets(settings).set(f"{name}{number}", ORIGIN, name)


@pytest.mark.slow
def test_two_processes_lose_nothing(secrets, settings, no_keyring):
    processes = [
        multiprocessing.get_context("fork").Process(target=_set_many, args=(settings, n)) for n in "abc"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    kept = json.loads((settings.config / "secrets.json").read_text())
    assert len(kept) == 30


def test_a_locked_keyring_is_reported(secrets, settings, monkeypatch):
    import keyring
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringLocked

    class Locked(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            raise KeyringLocked("dismissed")

        set_password = delete_password = get_password

    monkeypatch.setattr(keyring, "get_keyring", Locked)
    with pytest.raises(ProfileError, match="locked"):
        secrets.get("pacs", ORIGIN)
    assert not (settings.config / "secrets.json").exists()


def test_a_keyring_that_is_configured_wrongly_is_reported(secrets, monkeypatch):
    import keyring

    def misconfigured():
        raise ModuleNotFoundError("No module named 'my'")

    monkeypatch.setattr(keyring, "get_keyring", misconfigured)
    with pytest.raises(ProfileError, match="No module named 'my'"):
        secrets.set("pacs", ORIGIN, "one")


def test_what_was_set_without_a_keyring_is_newer_than_what_the_keyring_holds(secrets, settings, monkeypatch):
    import keyring

    class Old(keyring.backend.KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            return "old"

        set_password = delete_password = None

    secrets.set("pacs", ORIGIN, "new")
    monkeypatch.setattr(keyring, "get_keyring", Old)
    assert Secrets(settings).get("pacs", ORIGIN) == "new"
    assert Secrets(settings).get("other", ORIGIN) == "old"


def test_a_system_with_a_keyring_that_holds_nothing_has_none(secrets, monkeypatch):
    import keyring
    from keyring.backends.null import Keyring

    monkeypatch.setattr(keyring, "get_keyring", Keyring)
    assert "no keyring" in secrets.where


REAL = r"""
    import subprocess, sys
    from pathlib import Path
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.settings import Settings
    from tests.waiting import until

    daemon = ["gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(daemon, stdin=subprocess.PIPE, **quiet)
    running.stdin.write(b"\n")  # an empty password
    running.stdin.close()
    try:
        import secretstorage
        bus = secretstorage.dbus_init()
        until(lambda: secretstorage.check_service_availability(bus), "the keyring daemon")
        home = Path(sys.argv[1])
        settings = Settings(home / "config", home / "archive", home / "state")
        secrets = Secrets(settings)
        assert secrets.where == "the system keyring", secrets.where
        # A secret from a time without a keyring:
        secrets._file.change("old at http://a:1", "from the file")
        assert secrets.get("old", "http://a:1") == "from the file"
        secrets.set("old", "http://a:1", "now safe")
        assert "old" not in secrets._file.path.read_text()
        secrets.set("pacs", "http://a:1", "tr0ub4dor")
        again = Secrets(settings)
        assert again.get("pacs", "http://a:1") == "tr0ub4dor"
        assert again.get("pacs", "http://b:1") is None
        assert again.get("old", "http://a:1") == "now safe"
        elsewhere = Secrets(Settings(home / "other", home / "archive", home / "state"))
        assert elsewhere.get("pacs", "http://a:1") is None
        again.delete("pacs", "http://a:1")
        again.delete("pacs", "http://a:1")
        assert secrets.get("pacs", "http://a:1") is None
        print("all well")
    finally:
        running.terminate()
        running.wait()
"""


@pytest.mark.servers
def test_a_real_keyring(tmp_path):
    for program in ("dbus-run-session", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            unavailable(program, "apt-get install --no-install-recommends gnome-keyring dbus")
    script = tmp_path / "real.py"
    script.write_text(textwrap.dedent(REAL))
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON_KEYRING", "DBUS_"))
    }
    environment |= {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(PROJECT),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    session = ["dbus-run-session", "--", sys.executable, str(script), str(tmp_path)]
    outcome = subprocess.run(session, env=environment, capture_output=True, text=True, timeout=60)
    assert outcome.stdout.strip().endswith("all well"), outcome.stderr
    stored = [file for file in tmp_path.rglob("*") if file.is_file() and file != script]
    assert not any(b"tr0ub4dor" in file.read_bytes() for file in stored), (
        "the secret lies in the keyring alone"
    )


@pytest.mark.parametrize(
    ("url", "former"),
    [
        ("http://[::1]:8042/dicom-web", "http://::1:8042"),
        ("https://b\u00fccher.example/dicom-web", "https://b\u00fccher.example:443"),
        ("https://pacs.example./dicom-web", "https://pacs.example.:443"),
    ],
)
def test_a_secret_under_the_origin_that_0_1_wrote_is_found_and_moved(settings, url, former):
    """The first version left the brackets out of IPv6 origins, and took host names as they were typed."""
    secrets = Secrets(settings)
    secrets.set("pacs", former, "old")
    profile = ServerProfile("pacs", url)
    assert secrets.get("pacs", profile.origin) == "old"
    secrets.set("pacs", profile.origin, "new")
    assert secrets.get("pacs", former) is None
    assert secrets.get("pacs", profile.origin) == "new"
    secrets.set("pacs", former, "old")
    secrets.delete("pacs", profile.origin)
    assert secrets.get("pacs", profile.origin) is None


def test_trust_login_and_proxy_agree_on_an_ipv6_origin(settings, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    profile = ServerProfile("lab", "http://[::1]:8042/dicom-web")
    assert profile.origin == "http://[::1]:8042"
    assert proxy_for(profile.endpoint) is None
    assert TrustStore(settings).add("http://[0::1]:8042/") == profile.origin
    assert TrustStore(settings).trusts(profile.origin)
    assert proxy_for(ServerProfile("x", "http://127.evil.example/").endpoint) is not None
    assert proxy_for(ServerProfile("x", "http://127.0.0.1.nip.io/").endpoint) is not None
