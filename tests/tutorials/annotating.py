"""The people of docs/tutorials/project.md in their browsers: they do what the page lists, by keys and mouse.

``python -m tests.tutorials.annotating`` walks the whole page with its ten studies; a test does so with two.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self, TypeVar

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests import chromium
from tests.conftest import PROJECT
from tests.dock.running import RunningDock, connected, running
from tests.dock.using import arrived, open_at
from tests.viewer.conftest import WINDOW_SIZE, Screen

PAGE = "docs/tutorials/project.md"
PATIENCE = 120_000  # ms
FOR_PICTURES: ViewportSize = {"width": 1280, "height": 800}
ENVIRONMENT = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
OVERLOOKED = "1b"  # the case whose hole its annotator overlooks, and the reviewer does not
ACCEPTED = "2a"  # the one whose hole both overlook
P = TypeVar("P", bound="Person")


class Person:
    """Somebody at their dock's page My work.

    Parameters
    ----------
    dock : theirs.
    page : My work, open.
    pictures : folder for pictures of the pages; none where it is None.
    """

    def __init__(self, dock: RunningDock, page: Page, pictures: Path | None = None) -> None:
        self.dock = dock
        self.page = page
        self.screen = Screen(page)
        self._pictures = pictures

    @classmethod
    @contextmanager
    def at(cls, browser: Browser, dock: RunningDock, pictures: Path | None = None) -> Iterator[Self]:
        """Open My work in a session of its own."""
        context = browser.new_context(viewport=FOR_PICTURES if pictures else WINDOW_SIZE)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        open_at(page, dock, "/work")
        yield cls(dock, page, pictures)
        context.close()

    def press(self, key: str, button: str) -> None:
        """Press a key of My work, once its button can be pressed."""
        expect(self.page.get_by_test_id(button)).to_be_enabled(timeout=PATIENCE)
        self.page.keyboard.press(key)

    def open(self) -> None:
        """Take the next case; the viewer shows it."""
        self.press("n", "work-next")
        self.page.wait_for_url(
            lambda url: f":{self.dock.port}/" not in url, wait_until="commit", timeout=PATIENCE
        )
        # The state is there before the page's keys are.
        ready = "() => window.dicomdock && document.querySelector('[data-view]')"
        self.page.wait_for_function(ready, timeout=PATIENCE)
        self.screen.wait("s.complete", PATIENCE / 1000)

    def leave(self) -> None:
        """Go back to My work."""
        self.page.get_by_role("button", name="Back").click()
        arrived(self.page, lambda url: f":{self.dock.port}/work" in url)
        connected(self.page)

    def done(self, words: str) -> str:
        """Wait until a case is submitted, accepted or sent back, and return its name."""
        said = self.page.get_by_text(re.compile(rf"^Case \w+ is {words}\.$"))
        expect(said).to_be_visible(timeout=PATIENCE)
        return said.inner_text().split()[1]

    def picture(self, name: str) -> None:
        """Take a picture, the first time."""
        if self._pictures is not None and not (self._pictures / f"{name}.png").exists():
            self.page.screenshot(path=self._pictures / f"{name}.png")


class Annotator(Person):
    """Lets the tool propose, and corrects it."""

    draft = False  # what is drawn on is a draft, not what was submitted before

    def open(self) -> None:
        """Take the next case; the viewer shows it."""
        super().open()
        self.draft = False

    def propose(self) -> None:
        """Run the tool; its draft opens."""
        self.page.get_by_role("button", name="Segment", exact=True).click()
        self.screen.wait("s.tool_chosen === 'threshold'", PATIENCE / 1000)
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.screen.wait("s.drawing_uid && s.draft && !s.unsaved && !s.busy", PATIENCE / 1000)
        self.draft = True
        self.picture("proposed")

    def paint(self) -> None:
        """Fill the hole in the middle."""
        screen = self.screen
        # A viewer that is open since the draft shows that until it has read what was submitted.
        screen.wait(f"s.drawing_uid && s.draft === {json.dumps(self.draft)} && !s.busy", PATIENCE / 1000)
        screen.handled()
        screen.brush()
        x, y = screen.middle()
        screen.drag((x - 5, y), (x + 5, y))
        screen.wait("s.unsaved", PATIENCE / 1000)
        self.page.keyboard.press("Escape")

    def save(self) -> None:
        """Save a new version."""
        self.page.keyboard.press("Control+s")
        self.screen.note("Saved in the archive", PATIENCE / 1000)
        self.picture("corrected")

    def submit(self) -> str:
        """Go back, submit, and return the name of the case."""
        self.leave()
        self.press("s", "work-submit")
        return self.done("submitted")


class Reviewer(Person):
    """Looks at what was drawn, accepts it or sends it back."""

    def open(self) -> None:
        """Take the next case; the viewer shows what was drawn."""
        super().open()
        self.screen.wait("s.drawing_uid", PATIENCE / 1000)

    def read(self) -> None:
        """Go back, and read what was changed by hand."""
        self.leave()
        changes = self.page.get_by_test_id("case-changes")
        expect(changes).to_contain_text("Proposed by threshold 1", timeout=PATIENCE)
        self.picture("reviewed")

    def accept(self) -> str:
        """Accept, and return the name of the case."""
        self.press("a", "work-accept")
        return self.done("accepted")

    def send_back(self) -> str:
        """Send the case back with a note, and return its name."""
        self.press("b", "work-send-back")
        self.page.get_by_role("textbox").fill("It has a hole.")
        self.page.get_by_role("button", name="Send back", exact=True).click()
        return self.done("sent back")


OPEN = "Press `n` on *My work*: the next case opens in the viewer."
PROPOSE = "Open *Segment* on the left, and press *Run*: the draft of the tool opens."
PAINT = "Paint over the hole in the middle with the brush, `p`; `Escape` puts it away."
SAVE = "Save with `Ctrl+s`."
SUBMIT = "Leave by *Back*, and press `s`: the case is submitted."
LOOK = "Press `n`: the next case opens, with what was drawn."
READ = "Leave by *Back*, and read what was changed by hand of the draft."
ACCEPT = "Press `a`: the case is accepted."
SEND_BACK = "Or press `b`, write *It has a hole.*, and press *Send back*."
ANNOTATE: Mapping[str, Callable[[Annotator], str | None]] = {
    OPEN: Annotator.open,
    PROPOSE: Annotator.propose,
    PAINT: Annotator.paint,
    SAVE: Annotator.save,
    SUBMIT: Annotator.submit,
}
REVIEW: Mapping[str, Callable[[Reviewer], str | None]] = {
    LOOK: Reviewer.open,
    READ: Reviewer.read,
    ACCEPT: Reviewer.accept,
    SEND_BACK: Reviewer.send_back,
}


def listed() -> list[str]:
    """Return the steps that the page lists, in order."""
    found = re.findall(r"^\d\. (.+(?:\n   .+)*)", (PROJECT / PAGE).read_text("utf-8"), re.MULTILINE)
    return [" ".join(one.split()) for one in found]


def walk(folder: Path, browser: Browser, studies: int, pictures: Path | None = None) -> None:
    """Do what the page lists in three browser sessions, with the homes that its commands have made."""
    assert listed() == [*ANNOTATE, *REVIEW]
    with ExitStack() as stack:
        docks = [
            stack.enter_context(running(folder / name, env=ENVIRONMENT, viewer=True))
            for name in ("anna", "bert", "rita")
        ]
        anna, bert = (stack.enter_context(Annotator.at(browser, dock, pictures)) for dock in docks[:2])
        rita = stack.enter_context(Reviewer.at(browser, docks[2], pictures))
        for number in range(1, studies + 1):
            for person, case in ((anna, f"{number}a"), (bert, f"{number}b")):
                left_out = (PAINT, SAVE) if case in (OVERLOOKED, ACCEPTED) else ()
                assert _do(person, ANNOTATE, *left_out) == case
                if case != OVERLOOKED:
                    assert _do(rita, REVIEW, SEND_BACK) == case
                    continue
                assert _do(rita, REVIEW, ACCEPT) == case
                expect(bert.page.get_by_test_id("case-note")).to_have_text(
                    "rita: It has a hole.", timeout=PATIENCE
                )
                bert.picture("sent-back")
                assert _do(bert, ANNOTATE, PROPOSE) == case
                assert _do(rita, REVIEW, SEND_BACK) == case
        expect(rita.page.get_by_test_id("work-progress")).to_contain_text(f"{2 * studies} done")
        rita.picture("done")


def _do(person: P, steps: Mapping[str, Callable[[P], str | None]], *left_out: str) -> str:
    """Do the steps, and return the name of the case."""
    case = ""
    for words, step in steps.items():
        if words not in left_out:
            case = step(person) or case
    return case


def main() -> None:
    """Walk the page as it is."""
    from tests.test_docs import walk as follow

    with tempfile.TemporaryDirectory(prefix="dicomdock-tutorial-") as made, sync_playwright() as playwright:
        folder, browser = Path(made), chromium.start(playwright.chromium)
        pictures = Path(sys.argv[1]) if sys.argv[1:] else None
        follow(PAGE, folder, browsing=lambda: walk(folder, browser, 10, pictures))
        browser.close()


if __name__ == "__main__":
    main()
