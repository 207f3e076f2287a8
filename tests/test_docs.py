"""The pages do what they say: their blocks run, one after the other, and print what stands below them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from dicomdock.cli.app import run
from dicomdock.config.settings import Settings
from tests.conftest import PROJECT, unavailable
from tests.servers.orthanc import Orthanc

FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for found in FENCED.finditer((PROJECT / page).read_text("utf-8"))]


def walk(
    page: str,
    folder: Path,
    numbers: Mapping[str, str] = MappingProxyType({}),
    *,
    code: Mapping[str, str] = MappingProxyType({}),
    browsing: Callable[[], None] | None = None,
) -> None:
    """Do what a page says, in a folder; ``text`` is what the blocks since the last ``text`` printed.

    ``console`` is shown only. ``...`` stands for anything.

    Parameters
    ----------
    numbers : in the text of the page -> what is printed here instead.
    code : in the Python of the page -> what is run here instead.
    browsing : does what the page says below its ``console``, in browsers.
    """
    names: dict[str, object] = {}
    said = ""
    for language, body in blocks(page):
        if language == "console" and browsing is not None:
            browsing()
        elif language == "sh":
            ran = subprocess.run(
                ["bash", "-eu", "-c", body], cwd=folder, capture_output=True, text=True, timeout=900
            )
            assert ran.returncode == 0, f"{body}{ran.stderr}"
            said += ran.stdout
        elif language == "python":
            for text, here in code.items():
                body = body.replace(text, here)
            printed = io.StringIO()
            with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
                exec(compile(body, page, "exec"), names)
            said += printed.getvalue()
        elif language == "text":
            for number, here in numbers.items():
                body = re.sub(rf"\b{number}\b", here, body)
            pattern = re.escape(body.strip()).replace(re.escape("..."), ".*")
            assert re.fullmatch(pattern, said.strip(), re.DOTALL), f"{page} promises\n{body}and gets\n{said}"
            said = ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def demo(home: Path) -> Iterator[None]:
    """Run the dock with its demonstration server, in the home that commands and notebooks use too."""
    pytest.importorskip("playwright", reason="the helper that starts a dock needs it")
    from tests.dock.running import running

    with running(home / "dicomdock", "--demo"):
        yield


@pytest.mark.slow
def test_first_steps(demo, folder):
    walk("docs/tutorials/first-steps.md", folder)


@pytest.mark.slow
def test_the_notebook(demo, folder):
    walk("docs/tutorials/notebook.md", folder)


@pytest.mark.slow
def test_many_studies_at_once(demo, folder):
    walk("docs/tutorials/cohort.md", folder)


@pytest.fixture
def tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run the servers of the large tutorial with few studies, and yield the folder to work in."""
    from tests.tutorials.servers import missing, running

    if remedies := missing():
        unavailable("What the tutorial needs", "; ".join(remedies))
    with running(tmp_path, 6) as work:
        values = subprocess.run(
            ["bash", "-c", ". ./environment.sh && env -0"], cwd=work, capture_output=True, text=True
        ).stdout
        for name, _, value in (line.partition("=") for line in values.split("\0") if line):
            monkeypatch.setenv(name, value)
        try:
            yield work
        finally:
            for file in work.glob("*.pid"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.mark.servers
@pytest.mark.slow
def test_two_hundred_studies_and_a_kill(tutorial):
    walk("docs/tutorials/large-cohort.md", tutorial, {"1,200": "36", "200": "6"})


@pytest.mark.slow
def test_the_python_api(folder):
    walk("docs/python.md", folder)


def test_the_api_page_names_what_there_is():
    import dicomdock

    page = (PROJECT / "docs/python.md").read_text("utf-8")
    for section, kind in (("Archive", dicomdock.Archive), ("Volume", dicomdock.Volume)):
        table = page.split(f"## {section}\n")[1].split("\n## ")[0]
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
            for name in re.findall(r"`(?:\w+\.)?(\w+)[(`]", row):
                assert hasattr(kind, name) or name in kind.__dataclass_fields__, name


def readme() -> list[str]:
    text = (PROJECT / "README.md").read_text("utf-8")
    return [textwrap.dedent(found).strip("\n") for found in INDENTED.findall(text)]


@pytest.mark.slow
def test_the_commands_of_the_readme_are_commands(capsys):
    lines = [line for block in readme() for line in block.splitlines() if line.startswith("dicomdock ")]
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        assert run([*words, "--help"]) == 0, line
    capsys.readouterr()


def test_the_python_of_the_readme_runs(orthanc: Orthanc, settings: Settings, folder: Path, capsys):
    from dicomdock.config.secrets import Secrets
    from dicomdock.config.servers import Login, ServerProfile, load_profiles
    from dicomdock.demo import demo_study

    profile = ServerProfile("hospital", orthanc.url, Login("basic", user=orthanc.user))
    Secrets(settings).set(profile.name, profile.origin, orthanc.password)
    load_profiles(settings).with_profile(profile).save(settings)
    parts = list(demo_study())
    orthanc.add(*(b"".join(part.chunks()) for part in parts[:40]))
    (code,) = (block for block in readme() if block.startswith("from "))
    assert parts[0].resource is not None
    code = code.replace("1.2.840.1/1.2.840.2", f"{parts[0].resource.study}/{parts[0].resource.series}")
    with contextlib.chdir(folder):
        exec(compile(code, "README.md", "exec"), {})
    assert orthanc.instance_count() == 41


IMAGE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)]+)\)")


def pages() -> list[Path]:
    return [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]


def test_every_screenshot_is_shown_and_every_shown_one_is_there():
    shown = {Path(target).name for page in pages() for target in IMAGE.findall(page.read_text("utf-8"))}
    assert shown == {file.name for file in (PROJECT / "docs/screenshots").glob("*.png")}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_between_pages_lead_somewhere(page):
    targets = [*LINK.findall(page.read_text("utf-8")), *IMAGE.findall(page.read_text("utf-8"))]
    local = [target.partition("#")[0] or page.name for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_readme_shows_its_pictures_from_anywhere_and_links_nothing_twice():
    readme = (PROJECT / "README.md").read_text("utf-8")
    address = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Homepage"]
    for target in IMAGE.findall(readme):
        assert target.startswith(f"{address}/")
        assert (PROJECT / target.removeprefix(f"{address}/")).is_file()
    links = LINK.findall(readme)
    assert sorted(links) == sorted(set(links))


def test_every_make_target_of_a_page_is_one():
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    for page in pages():
        for target in re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


@pytest.mark.slow
def test_the_citation_names_this_version():
    import yaml

    import dicomdock

    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == dicomdock.__version__
