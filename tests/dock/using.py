"""What tests do with the pages: open them, find rows, put instances into the archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page

from dicomdock.archive import Archive
from dicomdock.config.secrets import Secrets
from dicomdock.config.servers import Login, ServerProfile, load_profiles
from dicomdock.config.settings import Settings
from dicomdock.sources import Part
from tests.builders import Made
from tests.dock.running import RunningDock, connected
from tests.servers.orthanc import Orthanc
from tests.waiting import PAUSE, until


def keep(settings: Settings, folder: Path, instances: Sequence[Made], *, origin: str = "test") -> None:
    """Put instances into the archive, as another process of the user does."""
    folder.mkdir(exist_ok=True)
    with Archive.open(settings) as archive, archive.writer(origin=origin) as writer:
        for number, instance in enumerate(instances):
            file = folder / f"{number}.dcm"
            file.write_bytes(instance.data)
            writer.add(Part.from_file(file))


def introduce(settings: Settings, orthanc: Orthanc, name: str = "hospital") -> None:
    """Make a server known, with its password, as the command line does."""
    profile = ServerProfile(name, orthanc.url, Login("basic", orthanc.user))
    Secrets(settings).set(name, profile.origin, orthanc.password)
    load_profiles(settings).with_profile(profile).save(settings)


def open_at(page: Page, dock: RunningDock, path: str = "/") -> None:
    """Open a page with a new session, and wait until it is there."""
    page.goto(dock.link(path))
    connected(page)


def arrived(page: Page, holds: Callable[[str], bool], seconds: float = 60) -> None:
    """Wait until the page's address is such.

    The address is looked at: a page that leads on before it is loaded would end a wait for its navigation.
    """

    def there() -> bool:
        page.wait_for_timeout(PAUSE * 1000)  # in which the browser's events arrive
        return holds(page.url)

    until(there, f"the way on from {page.url}", seconds=seconds)


STILL = """() => {
  const endless = (one) => one.effect.getTiming().iterations > 1e6;
  const inSight = (image) => image.getBoundingClientRect().top < innerHeight;
  return document.getAnimations().every((one) => one.playState !== "running" || endless(one)) &&
    [...document.images].every((image) => image.complete || !inSight(image));
}"""


def still(page: Page) -> None:
    """Wait until nothing fades, slides or loads any more."""
    page.wait_for_function(STILL)


def saved(page: Page, name: str) -> None:
    """Wait until a preference is saved, as the page says."""
    page.locator(f'html[data-saved="{name}"]').wait_for(state="attached")


def rows(page: Page, grid: str = "studies") -> Locator:
    """Return the rows of a list."""
    return page.get_by_test_id(grid).locator(".row")


def forget_key(page: Page) -> None:
    """Let the browser forget the key by which it begins sessions again."""
    page.evaluate(
        """() => new Promise((done) => {
          indexedDB.open("dicomdock", 1).onsuccess = ({ target }) => {
            const keys = target.result.transaction("keys", "readwrite").objectStore("keys");
            keys.delete("session").onsuccess = done;
          };
        })"""
    )
