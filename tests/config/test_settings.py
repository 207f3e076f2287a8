"""Settings: where they come from, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from dicomdock.config.settings import Settings
from dicomdock.config.validation import meaning
from dicomdock.errors import InvalidInput


def write(home: Path, text: str) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "settings.toml").write_text(text, "utf-8")


def test_everything_is_under_the_home_that_is_given(tmp_path):
    settings = Settings.load(tmp_path / "here")
    folders = [settings.config, settings.archive, settings.state]
    assert all(folder.parent == tmp_path / "here" for folder in folders)
    assert not (tmp_path / "here").exists()


def test_the_environment_names_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("DICOMDOCK_HOME", str(tmp_path / "there"))
    assert Settings.load().archive == tmp_path / "there" / "archive"


def test_without_a_home_the_systems_folders_are_used(home, monkeypatch):
    monkeypatch.delenv("DICOMDOCK_HOME")
    settings = Settings.load()
    assert home in settings.config.parents
    assert home in settings.archive.parents
    assert settings.config != settings.state


def test_the_file_overlays_the_defaults(tmp_path):
    write(tmp_path, 'port = 3000\nread_timeout = 5\narchive = "/data/dicom"\n')
    settings = Settings.load(tmp_path)
    assert (settings.port, settings.read_timeout, settings.archive) == (3000, 5.0, Path("/data/dicom"))
    assert settings.retries == Settings.load(tmp_path / "other").retries


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = ", "cannot be read"),
        ("prot = 1", "'prot'"),
        ('port = "high"', "port must be a whole number from 1 to 65535, not 'high'. It is for: TCP port"),
        ("retries = true", "retries must be a whole number"),
        ('state = "/tmp"', "'state'"),
        ("series_workers = 0", "series_workers must be a whole number from 1 to 64"),
        ("store_batch = -1", "store_batch must be a whole number of at least 1"),
        ("archive_limit = -1", "archive_limit must be a whole number of at least 0"),
        ("read_timeout = inf", "read_timeout must be a number from"),
        ("port = 70000", "port must be a whole number from 1 to 65535"),
    ],
)
def test_a_wrong_file_is_reported_in_a_sentence(tmp_path, text, said):
    write(tmp_path, text)
    with pytest.raises(InvalidInput, match=said):
        Settings.load(tmp_path)


def test_the_page_of_settings_lists_every_setting_as_it_is():
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text("utf-8")
    rows = {cells[1].strip(" `"): cells for line in page.splitlines() if len(cells := line.split("|")) > 4}
    listed = {item.name: item for item in fields(Settings) if meaning(item)}
    assert rows.keys() - {"setting", "---"} == listed.keys() | {"archive"}
    for name, item in listed.items():
        assert rows[name][2].strip(" `") == (repr(item.default) if item.default != "" else "")
        assert rows[name][3].strip() == meaning(item)


def test_what_runs_reads_the_file_again_and_goes_on_where_it_cannot(tmp_path):
    settings = Settings(tmp_path, tmp_path / "archive", tmp_path / "state", person="anna")
    assert settings.current() == settings
    settings.change(person="rita")
    assert settings.current().person == "rita"
    (tmp_path / "settings.toml").write_text("person = [")
    assert settings.current().person == "anna"
