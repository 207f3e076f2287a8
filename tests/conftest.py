"""Fixtures that every part uses: folders, settings, real servers, real sample data."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import hypothesis
import pytest

from dicomdock.config.settings import Settings
from dicomdock.web import call
from tests.chromium import CHROMIUM, start
from tests.servers import orthanc as orthanc_server
from tests.servers import s3
from tests.servers import tiny_pacs as tiny_pacs_server
from tests.servers.orthanc import Orthanc
from tests.servers.s3 import S3
from tests.servers.tiny_pacs import TinyPacs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

T = TypeVar("T")
BROWSER_MS = (
    60_000  # that a page may take to show something; a machine that is busy shows the same things later
)
PROJECT = Path(__file__).resolve().parents[1]

# Programs that come with Python packages are found also where no environment is activated.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))

# A shell starts what runs in the background with Ctrl-C ignored; a user at a terminal has it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine makes single examples slow without saying anything about the code. With CI=true the
# examples are the same each time, for a change must not be refused by chance; other runs try new ones.
hypothesis.settings.register_profile(
    "dicomdock",
    deadline=None,
    database=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# `make check` tries fewer examples; `make test` all of them.
hypothesis.settings.register_profile("check", hypothesis.settings.get_profile("dicomdock"), max_examples=15)
hypothesis.settings.load_profile("dicomdock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real server or browser by its fixtures, and begin with the files that look at pages.

    They take longest: begun last, one of them would leave the other workers without work.
    """
    real = {"orthanc", "orthanc_next", "tiny_pacs"}
    for item in items:
        names = getattr(item, "fixturenames", ())
        if {"anyserver", "storms"}.intersection(item.path.parts):  # servers or programs for nearly every test
            item.add_marker(pytest.mark.slow)
        if real.intersection(names):
            item.add_marker(pytest.mark.servers)
        if "chromium" in names:
            item.add_marker(pytest.mark.browser)
    looking = {item.path for item in items if item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in looking)


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests, which stay to the end, out of later garbage collections."""
    gc.collect()
    gc.freeze()


def unavailable(what: str, remedy: str) -> NoReturn:
    """Skip the test, saying what would make it run; fail where everything must run (``CI=true``)."""
    sentence = f"{what} is not here; to run this test: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def shared_data(*parts: str) -> Path:
    """Return a file or folder of the real sample data beside the project; skip where there is none."""
    path = PROJECT.parent.joinpath("shared", "data", *parts)
    if not path.exists():
        pytest.skip(f"Real sample data are not here: {path}")
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of the test's own that everything reads and writes below, programs it starts too."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("DICOMDOCK_HOME", str(folder / "dicomdock"))
    # No test may reach the keyring of the person who runs it.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def settings(home: Path) -> Settings:
    """Return settings below the test's own home, quick to give up on servers that do not answer."""
    folder = home / "dicomdock"
    return Settings(
        folder / "config",
        folder / "archive",
        folder / "state",
        connect_timeout=10.0,
        read_timeout=60.0,
        free_space_floor=0,
    )


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again after a moment where a server fails for long, not after the product's seconds."""
    monkeypatch.setattr(call, "FIRST_WAIT", 0.02)


def _running(what: str, remedy: str, start: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    if remedy:
        unavailable(what, remedy)
    with start() as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[BrowserType]:
    """Yield what starts a Chromium: one driver at a time, because its event loop runs in the main thread.

    It ends with the file, so that tests of other files can run event loops of their own.
    """
    if not Path(CHROMIUM).exists():
        unavailable("Chromium", "apt-get install chromium")
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        unavailable("Playwright", "pip install playwright")
    expect.set_options(timeout=BROWSER_MS)
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="module")
def browser(chromium: BrowserType) -> Iterator[Browser]:
    """Start a real Chromium, one for all tests of a file."""
    from playwright.sync_api import Error

    try:
        running = start(chromium)
    except Error as error:
        unavailable("Chromium", str(error))
    yield running
    running.close()


@pytest.fixture(scope="session")
def orthanc_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Debian's Orthanc, one for the whole run; tests ask for ``orthanc``."""
    folder = tmp_path_factory.mktemp("orthanc")
    yield from _running("Orthanc", orthanc_server.missing(), lambda: orthanc_server.running(folder))


@pytest.fixture(scope="session")
def orthanc_next_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """The next Debian release's Orthanc, one for the whole run; tests ask for ``orthanc_next``."""
    folder = tmp_path_factory.mktemp("orthanc-next")
    yield from _running(
        "Orthanc of the next Debian release",
        orthanc_server.missing_next(),
        lambda: orthanc_server.running(folder, next_release=True),
    )


@pytest.fixture
def orthanc(orthanc_process: Orthanc) -> Orthanc:
    """Debian 12's Orthanc with the DICOMweb plugin 1.7 and a Basic login, empty."""
    orthanc_process.clean()
    return orthanc_process


@pytest.fixture
def orthanc_next(orthanc_next_process: Orthanc) -> Orthanc:
    """Debian 13's Orthanc with the DICOMweb plugin 1.20 and a Basic login, empty."""
    orthanc_next_process.clean()
    return orthanc_next_process


@pytest.fixture(scope="session")
def tiny_pacs_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyPacs]:
    """A tiny-pacs without a login, one for the whole run; tests ask for ``tiny_pacs``."""
    folder = tmp_path_factory.mktemp("tiny-pacs")
    yield from _running("tiny-pacs", tiny_pacs_server.missing(), lambda: tiny_pacs_server.running(folder))


@pytest.fixture
def tiny_pacs(tiny_pacs_process: TinyPacs) -> TinyPacs:
    """A tiny-pacs without a login, empty."""
    tiny_pacs_process.clean()
    return tiny_pacs_process


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """Run an S3 server for all tests of a process."""
    with s3.running() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Yield the server with an empty bucket, named to the product by the environment."""
    for name, value in {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server.url}.items():
        monkeypatch.setenv(name, value)
    yield s3_server
    for key in s3_server.objects():
        s3_server.client.delete_object(Bucket=s3.BUCKET, Key=key)
