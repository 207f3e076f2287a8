"""My work: what the service tells of a project, and the page in a real Chromium."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from dicomdock import Archive, rpc
from dicomdock.api.project import AnnotationProject
from dicomdock.cohort.folder import Cohorts
from dicomdock.cohort.table import Item
from dicomdock.config.preferences import Preferences
from dicomdock.config.settings import Settings
from dicomdock.dicom.resource import Resource
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.dock.services.events import Events
from dicomdock.dock.services.open_study import OpenStudy
from dicomdock.dock.services.project_work import ProjectWork
from dicomdock.errors import NotInArchive, Unreachable
from dicomdock.imaging.terminology import Terminology
from dicomdock.project.model import CaseRefused, CaseState
from tests.api.conftest import AFFINE, SHAPE, values
from tests.api.test_project import draw, edited
from tests.builders import write
from tests.dock.running import connected, running
from tests.dock.using import arrived, open_at, rows, still
from tests.imaging.scans import scan
from tests.servers.process import free_port

ASKED = "sessionStorage['dicomdock-asked']"
CLICKS = """() => {
  const accept = document.querySelector('[data-testid="work-accept"]');
  window.clicks = 0;
  accept.addEventListener("click", () => { window.clicks += 1; });
}"""
TWICE = """() => {
  const made = document.body.appendChild(document.createElement("button"));
  made.setAttribute("aria-keyshortcuts", "x");
  let clicks = 0;
  made.addEventListener("click", () => { clicks += 1; });
  for (const detail of [1, 2]) made.dispatchEvent(new MouseEvent("click", { bubbles: true, detail }));
  made.remove();
  return clicks;
}"""
"""Clicks a button that has a key twice in a row, as a double click does; gives how often it was pressed."""


def make(settings: Settings, folder: Path, *, server: str = "", count: int = 3) -> list[str]:
    """Make a project of series in the archive, of which the last is on a server, where one is named."""
    found, items = [], []
    with Archive.open(settings) as archive:
        for number in range(1, count + 1):
            uids = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.2.{number}.1"}
            series = scan(values(), AFFINE, PatientID=f"P{number}", PatientName=f"Roe^{number}", **uids)
            away = server and number == count
            if not away:
                archive.import_paths(write(folder / str(number), series))
            found.append(f"1.2.{number}/1.2.{number}.1")
            items.append(
                Item(
                    Resource.parse(found[-1]), server if away else "", f"P{number}", "CT", f"abdomen {number}"
                )
            )
        Cohorts(settings).save("chest", items, {})
        archive.make_project(
            "livers",
            "chest",
            "segment the liver",
            instructions="Leave the vessels out.",
            segments=["liver"],
            annotators=["anna", "bert"],
            reviewers=["rita"],
            review=True,
        )
    return found


def acting(settings: Settings, person: str, do: Callable[[AnnotationProject, Archive], object]) -> None:
    """Do something as another person, on another machine."""
    with Archive.open(replace(settings, person=person)) as archive:
        do(archive.project("livers"), archive)


class Pulls:
    """Records what is to be downloaded; it says that it is not a real list of transfers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fails = False

    def pull(self, server: str, resources: list[Resource]) -> None:
        if self.fails:
            raise Unreachable(f"{server} does not answer.")
        self.asked += [(server, str(one)) for one in resources]

    def studies(self) -> set[str]:
        return {resource.split("/")[0] for _, resource in self.asked}


@pytest.mark.slow
def test_the_next_case_is_fetched_while_one_is_drawn(settings: Settings, tmp_path: Path) -> None:
    first, second, third = make(settings, tmp_path, server="hospital")
    pulls, local = Pulls(), LocalArchive(replace(settings, person="anna"), Events())
    work = ProjectWork(local, pulls, pulls, Events())  # type: ignore[arg-type]
    assert work.names() == ["livers"]
    looked = work.look("livers")
    assert (looked.mine, looked.left) == ((), True)
    assert work.take("livers") is not None
    assert pulls.asked == []  # the second one is here
    looked = work.look("livers", alive=True)
    (case,) = looked.mine
    assert (looked.words(case), looked.here) == ("draw", {Resource.parse(first)})
    assert looked.segments(case) == {"liver": Terminology.suggest("liver").to_slicer()}
    with pytest.raises(CaseRefused, match="no segmentation"):
        work.submit("livers", "1")
    draw(Archive(local.archive, settings), first)
    assert looked.segments(work.submit("livers", "1")) == {}
    taken = work.take("livers")
    assert taken is not None and str(taken.series) == second
    assert pulls.asked == [("hospital", third)]  # while the second one is drawn
    pulls.asked.clear()
    work.release("livers", "2")
    pulls.fails = True
    assert work.take("livers", "2") is not None  # what is fetched ahead fails in silence,
    with pytest.raises(Unreachable):  # what is wanted now does not
        work.take("livers", "3")
    work.release("livers", "3")
    acting(settings, "rita", lambda project, _: project.withdraw(["2"]))
    looked = work.look("livers", alive=True)  # a sign of her takes nothing back
    assert looked.people["anna"][CaseState.TAKEN] == 0
    (sentence,) = looked.lost
    assert "rita withdrew it." in sentence
    pulls.fails = False
    assert work.take("livers", "2") is not None and work.take("livers", "3") is not None
    looked = work.look("livers")
    states = {looked.name_of(one): looked.words(one) for one in looked.mine}
    assert states == {"2": "draw", "3": "draw", "1": "waits for review"}
    assert looked.people["anna"][CaseState.TAKEN] == 2
    assert not looked.lost
    local.archive.remove(Resource.parse(second))
    work.release("livers", "2")
    with pytest.raises(NotInArchive, match="names no server with them"):
        work.take("livers", "2")  # it is hers, and she may give it back
    assert "2" in {looked.name_of(one) for one in work.look("livers").mine if looked.draws(one)}
    local.close()


class OneViewer:
    """Records what it is to show; it says that it is not a viewer."""

    def __init__(self) -> None:
        self.segments: tuple[rpc.WantedSegment, ...] = ()

    def observe(self, *_: object) -> None:
        """Report nothing."""

    def open(self, _: Resource, *, segments: Sequence[rpc.WantedSegment], **__: object) -> str:
        self.segments = tuple(segments)
        return "http://127.0.0.1:1/"


def test_a_study_opens_with_the_segments_of_its_cases_until_they_are_drawn(settings: Settings) -> None:
    viewer, nothing = OneViewer(), SimpleNamespace(of=lambda _: None)
    opening = OpenStudy(LocalArchive(settings, Events()), nothing, nothing, viewer, Preferences(settings))  # type: ignore[arg-type]
    first, second = Resource("1.2", "1.2.1"), Resource("1.2", "1.2.2")
    opening.want(first, {"liver": "entry", "spleen": ""})
    opening.want(second, {"ball": ""})
    opening.want(Resource("1.3", "1.3.1"), {"lung": ""})
    opening.open(first)
    liver, spleen = rpc.WantedSegment("1.2.1", "liver", "entry"), rpc.WantedSegment("1.2.1", "spleen")
    assert viewer.segments == (liver, spleen, rpc.WantedSegment("1.2.2", "ball"))
    opening.want(second, {})
    opening.open(Resource("1.2"))
    assert viewer.segments == (liver, spleen)
    opening.want(first, {})
    opening.open(first)
    assert viewer.segments == ()


def test_a_person_walks_their_cases_by_keyboard(home: Path, page: Page, tmp_path: Path) -> None:
    folder = home / "mine"
    settings = Settings(folder / "config", folder / "archive", folder / "state", free_space_floor=0)
    with running(folder) as dock:
        open_at(page, dock, "/work")
        expect(page.get_by_test_id("work-empty")).to_contain_text("No work for you yet")
    (folder / "config" / "settings.toml").write_text('person = "anna"\n')
    series = make(settings, tmp_path)
    with running(folder) as dock:
        open_at(page, dock, "/work")
        expect(page.get_by_test_id("work-none")).to_contain_text("Nothing in hand")
        expect(page.get_by_test_id("work-next")).to_be_enabled()
        page.keyboard.press("n")
        arrived(page, lambda url: "/study/1.2.1" in url)  # studies open as a list here
        page.goto(f"{dock.url}/work")
        cases, card = rows(page, "cases"), page.get_by_test_id("case")
        expect(cases).to_have_count(1)
        expect(card).to_contain_text("Case 1: segment the liver")
        expect(card).to_contain_text("Leave the vessels out.")
        expect(page.get_by_test_id("work-submit")).to_be_enabled()
        page.keyboard.press("s")
        expect(page.get_by_text("There is no segmentation of case 1")).to_be_visible()
        with Archive.open(settings) as archive:
            draw(archive, series[0])
        page.keyboard.press("s")
        expect(page.get_by_text("Case 1 is submitted.")).to_be_visible()
        assert page.evaluate(ASKED) is None, "it was answered"
        for rounds, told in ((0, "Case 1 is submitted: that arrived"), (1, "Case 1 is not submitted: the")):
            asked = json.dumps(["livers", "1", "submitted", rounds])
            page.evaluate(f"asked => {ASKED} = asked", asked)  # as a click leaves it that was not answered
            page.reload()
            expect(page.get_by_text(told)).to_be_visible()
            assert page.evaluate(ASKED) is None
        expect(cases.first).to_contain_text("waits for review")
        expect(page.get_by_test_id("work-submit")).to_be_disabled()
        expect(page.get_by_test_id("work-progress")).to_contain_text("2 open, 1 submitted")
        expect(rows(page, "people").filter(has_text="anna")).to_contain_text("0 of 1, 1 submitted")

        def review(project: AnnotationProject, _: Archive) -> None:
            project.send_back("1", "The dome is missing.")

        acting(settings, "rita", review)
        page.reload()
        expect(cases.first).to_contain_text("sent back")
        expect(page.get_by_test_id("case-note")).to_have_text("rita: The dome is missing.")
        expect(page.get_by_test_id("work-next")).to_be_enabled()
        page.keyboard.press("n")  # what was sent back comes first
        arrived(page, lambda url: "/study/1.2.1" in url)
        page.goto(f"{dock.url}/work")
        expect(cases.first).to_contain_text("draw again")
        acting(settings, "rita", lambda project, _: project.withdraw(["1"]))
        page.reload()
        expect(page.get_by_test_id("work-lost")).to_contain_text("withdrawn from you")
        expect(page.get_by_test_id("work-lost")).to_contain_text("What you saved is in the archive.")
        acting(settings, "anna", lambda project, _: project.take("1"))
        page.reload()
        expect(cases.first).to_contain_text("draw again")
        expect(page.get_by_test_id("work-lost")).to_be_empty()
        expect(page.get_by_test_id("case-explained")).to_have_text(
            "Draw it in the viewer, save, and submit it."
        )
        expect(page.get_by_test_id("work-give-back")).to_be_enabled()
        page.keyboard.press("g")
        expect(page.get_by_text("Case 1 is given back.")).to_be_visible()
        page.set_viewport_size({"width": 390, "height": 800})
        still(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        grid = page.get_by_test_id("cases")
        assert grid.evaluate("one => one.scrollWidth <= one.clientWidth"), "a column is cut off"
        acting(settings, "rita", lambda project, _: project.remove())
        page.get_by_test_id("work-next").click()
        expect(page.get_by_test_id("work-gone")).to_contain_text("Project livers is gone")


@pytest.mark.servers
def test_two_docks_share_one_postgresql_and_one_of_them_is_killed_as_a_case_is_submitted(
    home: Path, browser: Browser, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    database = new_database()
    for person in ("anna", "bert"):
        folder = home / person / "config"
        folder.mkdir(0o700, parents=True)
        shared = f'archive = "{tmp_path / "shared"}"\ndatabase = "{database}"\n'
        (folder / "settings.toml").write_text(f'person = "{person}"\n{shared}')
    settings = Settings(
        home / "anna" / "config",
        tmp_path / "shared",
        home / "anna" / "state",
        database=database,
        free_space_floor=0,
    )
    series, port = make(settings, tmp_path / "images"), str(free_port())
    with ExitStack() as stack:
        bert = stack.enter_context(running(home / "bert"))
        with running(home / "anna", "--port", port) as dock:
            pages = {each: stack.enter_context(browser.new_context()).new_page() for each in (dock, bert)}
            for each, page in pages.items():
                open_at(page, each, "/work")
                expect(page.get_by_test_id("work-next")).to_be_enabled()
            for page in pages.values():  # neither is waited for
                page.evaluate("document.querySelector('[data-testid=work-next]').click()")
            for page in pages.values():
                arrived(page, lambda url: "/study/" in url)
            taken = {Path(urlsplit(page.url).path).name for page in pages.values()}
            assert taken == {"1.2.1", "1.2.2"}
            page = pages[dock]
            mine = Path(urlsplit(page.url).path).name
            page.goto(f"{dock.url}/work")
            expect(page.get_by_test_id("work-progress")).to_contain_text("1 open, 2 taken")
            with Archive.open(settings) as archive:
                drawn = draw(
                    archive, next(one for one in series if one.startswith(f"{mine}/")), creator="anna"
                )
            expect(page.get_by_test_id("work-submit")).to_be_enabled()
            page.evaluate("document.querySelector('[data-testid=work-submit]').click()")
            os.kill(dock.pid, signal.SIGKILL)
            expect(page.locator("#popup")).to_contain_text("The dock does not answer.")
            page.evaluate("window.before = true")
        with running(home / "anna", "--port", port) as dock:
            # It is submitted, or it is not and still in hand; what was drawn is there.
            case, submit = page.get_by_test_id("case"), page.get_by_test_id("work-submit")
            page.wait_for_function("!window.before")
            connected(page)
            expect(case).to_contain_text("segment the liver")
            told = page.get_by_text(re.compile("^Case [12] is .*before that arrived|that arrived before"))
            expect(told).to_be_visible()
            assert submit.is_enabled() == (" is not submitted" in told.inner_text())
            if submit.is_enabled():
                page.keyboard.press("s")
            expect(rows(page, "cases").first).to_contain_text("waits for review")
        page = pages[bert]
        page.goto(f"{bert.url}/work")
        expect(page.get_by_test_id("work-progress")).to_contain_text("1 open, 1 taken, 1 submitted")
    with Archive.open(settings) as archive:
        (submitted,) = [one for one in archive.project("livers").cases() if one.result is not None]
    assert str(submitted.result) == str(drawn)


def test_a_reviewer_accepts_and_sends_back(home: Path, page: Page, tmp_path: Path) -> None:
    folder = home / "mine"
    settings = Settings(folder / "config", folder / "archive", folder / "state", free_space_floor=0)
    (folder / "config").mkdir(0o700, parents=True)
    (folder / "config" / "settings.toml").write_text('person = "rita"\n')
    series = make(settings, tmp_path)

    def annotate(project: AnnotationProject, archive: Archive) -> None:
        for number in (1, 2):
            project.take(str(number))
        project.submit("1", draw(archive, series[0]))
        proposal = replace(archive.segmentation(draw(archive, series[1])), draft=True, origin=None).save()
        liver = archive.segmentation(proposal).segments[0].mask.whole(SHAPE)
        liver[1] = False  # 5 x 6 voxels
        project.submit("2", edited(archive, proposal, liver))

    acting(settings, "anna", annotate)
    with running(folder) as dock:
        open_at(page, dock, "/work")
        cases = rows(page, "cases")
        expect(cases).to_have_count(2)
        page.keyboard.press("?")
        keys = page.get_by_role("dialog").locator("kbd")
        expect(keys.filter(has_text="Enter")).to_have_count(1)
        named = keys.all_inner_texts()
        assert len(set(named)) == len(named), "each key once, of two lists"
        assert "Space" not in named, "nothing can be selected"
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(cases.first).to_contain_text("to review")
        expect(page.get_by_test_id("work-send-back")).to_be_enabled()
        page.keyboard.press("b")
        asked = page.get_by_test_id("ask-note")
        expect(asked).to_contain_text("Send case 1 back to anna?")
        page.get_by_test_id("note-send").click()
        expect(asked).to_contain_text("a case is sent back with a note")
        page.get_by_test_id("note").fill("Once more.")
        page.get_by_test_id("note-send").click()
        expect(page.get_by_text("Case 1 is sent back.")).to_be_visible()
        expect(cases).to_have_count(1)
        changes = page.get_by_test_id("case-changes")
        expect(changes).to_contain_text("Proposed by a tool; 1 of 1 segments changed by hand.")
        expect(changes.get_by_role("listitem")).to_contain_text("voxels added: 0, removed: 30")
        expect(page.get_by_test_id("work-accept")).to_be_enabled()
        page.evaluate(CLICKS)
        page.keyboard.down("a")
        page.keyboard.down("a")  # it is held, which says nothing of the next case
        page.keyboard.up("a")
        assert page.evaluate("window.clicks") == 1
        expect(page.get_by_text("Case 2 is accepted.")).to_be_visible()
        expect(page.get_by_test_id("work-none")).to_contain_text("Nothing is left for you here")
        expect(page.get_by_test_id("work-next")).to_be_disabled()
        assert page.evaluate(TWICE) == 1
    with Archive.open(settings) as archive:
        first, second, _ = archive.project("livers").cases()
    assert (first.note, second.state) == ("Once more.", CaseState.DONE)
