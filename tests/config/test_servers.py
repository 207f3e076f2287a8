from __future__ import annotations

import os
import tomllib
from dataclasses import FrozenInstanceError, replace

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from dicomdock.config.dialects import Dialect
from dicomdock.config.servers import Login, Profiles, ServerProfile, change_profiles, load_profiles
from dicomdock.errors import ProfileError
from dicomdock.web.endpoint import Proxy

URL = "[servers.pacs]\nurl = 'http://h'\n"
PACS = ServerProfile("pacs", "https://pacs.example/dicom-web")


def write(settings, text):
    settings.config.mkdir(parents=True, exist_ok=True)
    (settings.config / "servers.toml").write_text(text, "utf-8")


def test_no_file_is_no_server(settings):
    profiles = load_profiles(settings)
    assert (profiles.names, profiles.default, len(profiles)) == ((), "", 0)
    with pytest.raises(ProfileError, match="server add"):
        profiles.get("")


def test_what_is_saved_is_loaded(settings):
    odd = ServerProfile(
        'Zoë\'s "PACS".x',
        "http://[::1]:8042/dicom-web",
        Login("oidc", "zoë", {"issuer": "https://login.example", "client_id": "x"}),
        Dialect(
            "mine",
            key_style="tag",
            wildcard=False,
            page_limit={"studies": 7},
            root_levels=(),
            store_batch=1 << 20,
            wado_uri="../wado",
        ),
        ca_file="/etc/ca.pem",
        client_certificate="c.pem",
        client_key="k.pem",
        proxy="http://proxy:3128",
    )
    profiles = Profiles().with_profile(PACS).with_profile(odd)
    profiles.save(settings)
    assert load_profiles(settings) == profiles
    assert load_profiles(settings).names == ("pacs", odd.name)
    file = settings.config / "servers.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in settings.config.iterdir() if item.suffix != ".lock"] == ["servers.toml"]
    assert "dialect" not in file.read_text().split("[servers.pacs]")[1].split("[servers.")[0], (
        "only what differs"
    )


def test_every_part_of_a_dialect_comes_back(settings):
    from dicomdock.config import dialects

    found = [value for value in vars(dialects).values() if isinstance(value, Dialect)]
    assert found
    profiles = Profiles()
    for number, dialect in enumerate(found):
        profiles = profiles.with_profile(replace(PACS, name=f"pacs {number}", dialect=dialect))
    profiles.save(settings)
    assert load_profiles(settings) == profiles


def test_changing_gives_new_profiles():
    one = Profiles().with_profile(PACS)
    two = one.with_profile(replace(PACS, name="two"))
    assert (one.names, two.names) == (("pacs",), ("pacs", "two"))
    assert two.default == "pacs"
    assert two.get().name == "pacs"
    assert two.with_default("two").get("").name == "two"
    assert two.with_default("two").without("two").default == "pacs"
    assert two.without("two").without("pacs").default == ""
    changed = two.with_profile(replace(PACS, url="http://new"))
    assert changed.names == two.names
    assert changed.get("pacs").url == "http://new"
    assert [profile.name for profile in two] == ["pacs", "two"]
    assert "two" in two
    with pytest.raises(FrozenInstanceError):
        two.default = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        two.servers["x"] = PACS  # type: ignore[index]


def test_an_unknown_server_is_answered_with_the_known_ones():
    profiles = Profiles().with_profile(PACS)
    for ask in (profiles.get, profiles.without, profiles.with_default):
        with pytest.raises(ProfileError, match=r"no server 'pax'; known are pacs"):
            ask("pax")
    with pytest.raises(ProfileError, match="choose a default"):
        Profiles({"pacs": PACS}).get()


@pytest.mark.parametrize(
    "profile",
    [
        replace(PACS, name=""),
        replace(PACS, name=" "),
        replace(PACS, name="a/b"),
        replace(PACS, name="--all"),
        replace(PACS, name="a\nb"),
        replace(PACS, name="x" * 65),
        replace(PACS, url="pacs.example/dicom-web"),
        replace(PACS, url="ftp://pacs.example"),
        replace(PACS, url="http://"),
        replace(PACS, url="http://pacs.example:port"),
        replace(PACS, url="http://[bad"),
        replace(PACS, url="http://pacs.example/?token=tr0ub4dor"),
        replace(PACS, url="http://pacs.example/#x"),
        replace(PACS, url="http://alice:tr0ub4dor@pacs.example"),
        replace(PACS, url="http://pacs example"),
        replace(PACS, url="http://pacs\r\nX: 1"),
    ],
)
def test_a_profile_that_cannot_work_is_refused(profile):
    with pytest.raises(ProfileError) as caught:
        Profiles().with_profile(profile)
    assert "tr0ub4dor" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default = [", "cannot be read"),
        ("default = 1", "default must be text"),
        ("colour = 'red'", "colour is not known"),
        ("servers = 1", "servers must be"),
        ("[servers]\npacs = 1", "servers.pacs must be a table"),
        ("[servers.pacs]\nca_file = ''", "servers.pacs.url is missing"),
        (URL + "password = 'tr0ub4dor'", "servers.pacs.password is not known"),
        ("[servers.pacs]\nurl = 1", "servers.pacs.url must be text"),
        (URL + "login = 'basic'", "servers.pacs.login must be a table"),
        (URL + "login = {kind = 'magic'}", "login.kind must be one of 'none'"),
        (URL + "login = {options = {a = 1}}", "login.options.a must be text"),
        (
            "[servers.pacs]\nurl = 'http://h'\ndialect = {wildcard = 1}",
            "dialect.wildcard must be true or false",
        ),
        (
            "[servers.pacs]\nurl = 'http://h'\ndialect = {parallel = true}",
            "dialect.parallel must be a whole number",
        ),
        (URL + "dialect = {parallel = -1}", "dialect.parallel must be a whole number"),
        (
            "[servers.pacs]\nurl = 'http://h'\ndialect = {root_levels = 'x'}",
            "dialect.root_levels must be a list",
        ),
        (
            "[servers.pacs]\nurl = 'http://h'\ndialect = {root_levels = [1]}",
            "dialect.root_levels must be text",
        ),
        ("default = 'x'", "default names 'x'"),
    ],
)
def test_a_wrong_file_is_named_with_the_wrong_key(settings, text, words):
    write(settings, text)
    with pytest.raises(ProfileError) as caught:
        load_profiles(settings)
    assert words in str(caught.value)
    assert str(settings.config / "servers.toml") in str(caught.value)
    assert "tr0ub4dor" not in str(caught.value)


def test_a_file_written_by_hand_is_enough(settings):
    write(
        settings,
        "[servers.pacs]\nurl = 'https://pacs.example/dicom-web'\n[servers.pacs.dialect]\nname = 'orthanc'\n",
    )
    assert load_profiles(settings).get("pacs").dialect == Dialect("orthanc")
    assert load_profiles(settings).default == ""


def test_a_save_that_fails_keeps_the_old_file(settings, monkeypatch):
    Profiles().with_profile(PACS).save(settings)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProfileError, match="No space left"):
        Profiles().save(settings)
    assert load_profiles(settings).names == ("pacs",)
    assert [item.name for item in settings.config.iterdir() if item.suffix != ".lock"] == ["servers.toml"]


def test_a_linked_file_stays_linked(settings, tmp_path):
    settings.config.mkdir(parents=True, exist_ok=True)
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "servers.toml"
    real.write_text("")
    (settings.config / "servers.toml").symlink_to(real)
    Profiles().with_profile(PACS).save(settings)
    assert "pacs" in real.read_text()
    assert (settings.config / "servers.toml").is_symlink()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://h/x", "http://h:80"),
        ("https://H.example/x", "https://h.example:443"),
        ("https://h:8443", "https://h:8443"),
    ],
)
def test_the_origin_of_a_server(url, origin):
    assert replace(PACS, url=url).origin == origin


@pytest.fixture
def no_keyring(monkeypatch):
    import keyring
    from keyring.backends.fail import Keyring

    monkeypatch.setattr(keyring, "get_keyring", Keyring)


PROXY = "http://carol:p%40ss-w0rd@proxy.example:3128"


def test_a_proxy_s_password_is_a_secret(settings, no_keyring):
    profile = ServerProfile("pacs", "https://pacs.example", proxy=PROXY)
    assert "p%40ss" not in repr(profile) + str(profile) + profile.proxy
    assert "p@ss" not in repr(profile)
    change_profiles(settings, lambda known: known.with_profile(profile))
    text = (settings.config / "servers.toml").read_text()
    assert "carol@proxy.example:3128" in text
    assert "ss-w0rd" not in text
    loaded = load_profiles(settings).get("pacs")
    assert loaded == profile
    assert loaded.endpoint.proxy == Proxy("http://proxy.example:3128", "carol", "p@ss-w0rd")
    change_profiles(settings, lambda known: known.without("pacs"))
    assert "ss-w0rd" not in (settings.config / "secrets.json").read_text()


def test_a_proxy_s_password_that_0_1_left_in_the_file_is_moved(settings, no_keyring):
    settings.config.mkdir(parents=True, exist_ok=True)
    file = settings.config / "servers.toml"
    file.write_text(f'default = "pacs"\n[servers.pacs]\nurl = "https://pacs.example"\nproxy = "{PROXY}"\n')
    for _ in range(2):
        assert load_profiles(settings).get("pacs").endpoint.proxy.password == "p@ss-w0rd"
        assert "ss-w0rd" not in file.read_text()


@pytest.mark.slow
@given(
    st.text(min_size=1, max_size=12),
    st.text(max_size=12),
    st.sampled_from(["http://p:3128", "https://[::1]:8", "p"]),
)
def test_a_proxy_is_written_as_it_is_read(user, password, url):
    proxy = Proxy(url, user, password)
    assert Proxy.parse(proxy.address) == proxy


@pytest.mark.parametrize(
    "address", ["http://[fe80::1%25eth0]:8042/dicom-web", "http://0x7f.1/rs", "http://127.1:8042", "h"]
)
def test_an_entry_that_cannot_be_used_stops_no_other(settings, address):
    file = settings.config / "servers.toml"
    file.parent.mkdir(parents=True)
    old = {"url": address, "login": {"kind": "basic", "user": "alice"}}
    document = {"default": "old", "servers": {"old": old, "good": {"url": "http://pacs.test/rs"}}}
    file.write_text(tomli_w.dumps(document))
    profiles = load_profiles(settings)
    assert profiles.names == ("good",)
    assert profiles.get("good").url == "http://pacs.test/rs"
    for name in ("old", ""):
        with pytest.raises(ProfileError, match=r"servers\.toml: servers\.old: .*Correct or remove"):
            profiles.get(name)
    change_profiles(settings, lambda known: known.with_profile(ServerProfile("third", "http://c.test")))
    kept = tomllib.loads(file.read_text())
    assert kept["servers"]["old"] == old
    assert kept["default"] == "old"
    changed = change_profiles(
        settings, lambda known: known.with_profile(ServerProfile("old", "http://d.test"))
    )
    assert not changed.unusable
    file.write_text(tomli_w.dumps(document))
    assert "old" not in change_profiles(settings, lambda known: known.without("old")).to_table()["servers"]
    assert tomllib.loads(file.read_text())["default"] == "good"
