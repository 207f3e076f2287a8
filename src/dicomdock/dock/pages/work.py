"""The page My work: the cases of this user in a project, the next one, and how far everybody is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from nicegui import ui
from nicegui.events import GenericEventArguments

from dicomdock.config.preferences import Preferences
from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting, widgets
from dicomdock.dock.addresses import open_address
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.pages.work_card import card
from dicomdock.dock.services.events import ArchiveChanged
from dicomdock.dock.services.open_study import OpenStudy
from dicomdock.dock.services.project_work import ProjectWork, Work
from dicomdock.dock.services.threads import Run
from dicomdock.errors import DicomdockError, NotFound
from dicomdock.project.model import Case, CaseState, Event, check_note

PREFERENCE = "project"
READING = "Looking for what was changed by hand of a tool's draft …"
MOST_LOST = 3  # cases that are named as come free
ASKED = "dicomdock-asked"
"""Where the browser keeps what it asked for last, until it is answered (``static/dock.js``)."""
DONE = {Event.SUBMITTED: "submitted", Event.ACCEPTED: "accepted", Event.SENT_BACK: "sent back"}
EVERY = 20.0  # seconds from one look at what others have done to the next
CASES = (
    widgets.Column("case", "Case", 64),
    widgets.Column("state", "State", 128),
    widgets.Column("patient", "Patient", "minmax(80px, 1fr)"),
    widgets.Column("series", "Series", "minmax(100px, 2fr)"),
    widgets.Column("images", "Images", 110, yields=1),
    widgets.Column("changed", "Changed", 110, yields=2),
)
PEOPLE = (
    widgets.Column("person", "Person", "minmax(80px, 1fr)"),
    widgets.Column("progress", "Done", "minmax(150px, 2fr)", "progress", sortable=False),
)


def page(services: Services, visit: Visit) -> None:
    """Build the page."""
    services.open_study.warm()
    view = WorkPage(services.run, services.work, services.open_study, services.preferences, visit)
    services.events.subscribe(ArchiveChanged, view.changed)
    ui.on(ASKED, view.asked_before)
    ui.timer(0, view.load, once=True)
    ui.timer(EVERY, view.look_again, immediate=False)


class WorkPage:
    """The state of one open page.

    Parameters
    ----------
    run : does blocking work.
    work : the projects.
    open_study : opens the cases.
    preferences : remember the project.
    visit : whose address may name a project, and whose header shows the choice.
    """

    def __init__(
        self, run: Run, work: ProjectWork, open_study: OpenStudy, preferences: Preferences, visit: Visit
    ) -> None:
        self._run = run
        self._service = work
        self._open_study = open_study
        self._preferences = preferences
        self._wanted = visit.query.get("project", "") or str(preferences.get(PREFERENCE) or "")
        self._name = ""
        self._work: Work | None = None
        self._current = ""
        self._changes: dict[Resource, Sequence[str]] = {}  # of what was submitted, by its instance
        self._choice = visit.header
        self._place = ui.element("div").classes("fill")
        with ui.element("div").classes("work-head") as self._head:
            self._bar = ui.element("progress").props('data-testid="work-bar"')
            self._line = ui.label().classes("muted num").props('role="status" data-testid="work-progress"')
        self._lost = widgets.Redrawn(ui.element("div").props('role="status" data-testid="work-lost"'))
        with ui.element("div").classes("studies-body") as self._body:
            with ui.element("section").classes("studies-list").props('aria-label="My cases"'):
                self._grid = widgets.Grid(
                    CASES,
                    label="My cases",
                    selectable=False,
                    on_current=self._walked,
                    on_open=self._open,
                    testid="cases",
                )
                self._empty = ui.element("div").classes("studies-empty")
            with ui.element("aside").classes("study-panel").props('aria-label="The case"'):
                card = ui.element("div").classes("study-head work-card").props('data-testid="case"')
                self._card = widgets.Redrawn(card)
                self._people = widgets.Grid(
                    PEOPLE, label="Progress by person", selectable=False, testid="people"
                )
        with ui.element("footer").classes("actions").props('aria-label="Actions"') as self._foot:
            self._status = ui.label().classes("status").props('data-testid="status"')
            ui.element("span").classes("spacer")
            self._buttons: dict[str, tuple[ui.button, Callable[[Work, Case], bool]]] = {}
            self._button(
                "Open", "open_in_new", "o", self._open_current, lambda work, case: case.series in work.here
            )
            self._button("Submit", "check", "s", self._submit, Work.draws)
            self._button("Accept", "done_all", "a", self._accept, Work.reviews)
            self._button("Send back …", "undo", "b", self._send_back, Work.reviews)
            self._button("Give back", "logout", "g", self._release, Work.in_hand)
            self._next = widgets.button(
                "Next case", self.next, icon="skip_next", kind="main", key="n", testid="work-next"
            )
        self._next.set_enabled(False)  # until it is known of which project
        self._show_case()
        for part in (self._head, self._body, self._foot):
            part.set_visibility(False)

    def _button(
        self, label: str, icon: str, key: str, do: Callable[[], object], can: Callable[[Work, Case], bool]
    ) -> None:
        testid = f"work-{label.lower().removesuffix(' …').replace(' ', '-')}"
        self._buttons[label] = (widgets.button(label, do, icon=icon, key=key, testid=testid), can)

    async def load(self) -> None:
        """Find the projects of this user, and show one."""
        names = await self._run(self._service.names)
        self._place.clear()
        if not names:
            with self._place:
                _no_project(self._service.person)
            return
        self._name = self._wanted if self._wanted in names else names[0]
        if len(names) > 1:
            with self._choice:
                options = {name: name for name in names}
                widgets.choice("Project", options, self._name, self._choose, testid="work-project")
        for part in (self._head, self._body, self._foot):
            part.set_visibility(True)
        await self.show(alive=True)
        asked = f"sessionStorage.getItem('{ASKED}')"
        ui.run_javascript(f"if ({asked}) emitEvent('{ASKED}', JSON.parse({asked}))")

    async def asked_before(self, event: GenericEventArguments) -> None:
        """Say what became of a request of this tab whose answer did not reach it: the dock had ended."""
        project, case, kind, rounds = event.args
        done = DONE[Event(kind)]
        try:
            arrived = await self._run(self._service.has_done, Event(kind), project, case, rounds)
        except NotFound:
            return  # show says that the project is gone
        finally:
            self._answered()
        if arrived:
            widgets.say(
                f"Case {case} is {done}: that arrived before the connection was lost.", kind="success"
            )
        else:
            lost = f"Case {case} is not {done}: the connection was lost before that arrived. Do it again."
            widgets.say(lost, kind="failure")

    def _answered(self) -> None:
        ui.run_javascript(f"sessionStorage.removeItem('{ASKED}')")

    def _asks(self, event: Event, case: Case) -> str:
        """Return what the browser keeps of a request."""
        assert self._work is not None, "a case is shown"
        return json.dumps([self._work.project.name, self._work.name_of(case), event, case.rounds])

    async def _choose(self, event: object) -> None:
        self._name, self._current, self._work = str(getattr(event, "value", "")), "", None
        self._next.set_enabled(False)
        self._show_case()
        await self._run(self._preferences.set, PREFERENCE, self._name)
        widgets.mark_saved(PREFERENCE)
        await self.show()

    async def changed(self, _: object) -> None:
        """Show what an event may have changed."""
        await self.show()

    async def look_again(self) -> None:
        """Show what others have done meanwhile, and let them know that the user is there."""
        await self.show(alive=True)

    async def show(self, *, alive: bool = False) -> None:
        """Show the project as it is now."""
        if not self._name:
            return
        name = self._name
        try:
            work = await self._run(self._service.look, name, alive=alive)
        except NotFound as error:  # somebody has removed it
            self._leave(name, str(error))
            return
        if name != self._name:
            return
        self._work = work
        known = {work.name_of(case) for case in work.mine}
        if self._current not in known:
            self._current = work.name_of(work.mine[0]) if work.mine else ""
        self._grid.set_rows(_row(work, case) for case in work.mine)
        self._people.set_rows(_person(person, counts) for person, counts in work.people.items())
        if self._current:
            self._grid.set_current(self._current)
        total, done = sum(work.counts.values()), work.counts[CaseState.DONE]
        self._bar.props(f'value="{done}" max="{max(total, 1)}" aria-label="{done} of {total} cases done"')
        parts = [f"{count} {state}" for state, count in work.counts.items() if count]
        self._line.set_text(f"{work.project.task.title}: {', '.join(parts)}")
        self._lost.show(tuple(work.lost) or None, lambda: _lost(work))
        for label, wanted in (
            ("Submit", work.is_annotator),
            ("Accept", work.is_reviewer),
            ("Send back …", work.is_reviewer),
        ):
            self._buttons[label][0].set_visibility(wanted)
        self._show_empty(work)
        await self._show_with_changes()

    def _leave(self, name: str, why: str) -> None:
        """Show that a project is gone."""
        if name != self._name:
            return
        self._name, self._work, self._current = "", None, ""
        for part in (self._head, self._body, self._foot):
            part.set_visibility(False)
        self._place.clear()
        title, text = f"Project {name} is gone", f"{why} What was drawn is in the archive."
        with self._place, widgets.empty(title, text, testid="work-gone"):
            widgets.button("Studies", lambda: ui.navigate.to("/"), kind="main")

    def _show_empty(self, work: Work) -> None:
        self._empty.clear()
        self._next.set_enabled(work.left or any(work.in_hand(case) for case in work.mine))
        if work.mine:
            return
        with self._empty:
            if work.left:
                box = widgets.empty("Nothing in hand", "Take the first case.", testid="work-none")
                with box:
                    widgets.button("Next case", self.next, kind="main")
            else:
                title, why = "Nothing is left for you here", "All cases are with others, or done."
                if not (work.is_annotator or work.is_reviewer):
                    title = "You are not in this project"
                    why = f"You are {work.person} here; your name on the Settings page says who you are."
                with widgets.empty(title, why, testid="work-none"):
                    widgets.button("Studies", lambda: ui.navigate.to("/"))

    def _case(self) -> Case | None:
        work = self._work
        return next((one for one in work.mine if work.name_of(one) == self._current), None) if work else None

    async def _walked(self, key: str) -> None:
        self._current = key
        await self._show_with_changes()

    async def _show_with_changes(self) -> None:
        """Show the case, and to its reviewer, once it is read, what was changed by hand of a tool's draft."""
        self._show_case()
        work, case = self._work, self._case()
        if work is None or case is None or case.result is None or not work.reviews(case):
            return
        if case.result not in self._changes:
            self._changes[case.result] = await self._run(self._service.changes, work.project.name, case)
        self._show_case()

    def _show_case(self) -> None:
        work, case = self._work, self._case()
        for button, can in self._buttons.values():
            button.set_enabled(work is not None and case is not None and can(work, case))
        self._status.set_text(f"{work.person} in {work.project.name}" if work else "")
        if work is None or case is None:
            self._card.clear()
            return
        for label, event in (("Submit", Event.SUBMITTED), ("Accept", Event.ACCEPTED)):
            button, _ = self._buttons[label]
            button.props["data-asks"] = self._asks(event, case)
            button.update()
        changes: Sequence[str] = ()
        if case.result is not None:
            changes = self._changes.get(case.result, (READING,) if work.reviews(case) else ())
        content = (work.project, case, work.explain(case), tuple(work.notes.get(case.key, ())), changes)
        self._card.show(content, lambda: card(work, case, changes))

    async def next(self) -> None:
        """Take the next case and open it; the one after it is fetched meanwhile."""
        try:
            case = await self._run(self._service.take, self._name)
        except DicomdockError:
            await self.show()  # it may be taken without its images
            raise
        if case is None:
            widgets.say("Nothing is left for you in this project.")
            await self.show()
            return
        await self._go(case)

    async def _open(self, key: str) -> None:
        self._current = key
        await self._open_current()

    async def _open_current(self) -> None:
        work, case = self._work, self._case()
        if work is None or case is None:
            return
        if case.state is CaseState.OPEN or (case.state is CaseState.SUBMITTED and work.reviews(case)):
            taken = await self._run(self._service.take, self._name, self._current)
            case = taken or case
        else:
            await self._run(self._service.fetch, case)
        await self._go(case)

    async def _go(self, case: Case) -> None:
        """Open the images of a case, or what was drawn on them last."""
        shown = await self._run(self._service.shown, case)
        self._want_segments(case)
        back = json.dumps(f"/work?{urlencode({'project': self._name})}")
        ui.run_javascript(f"sessionStorage.setItem('dicomdock-list', {back})")
        ui.navigate.to(open_address(shown))

    def _want_segments(self, case: Case) -> None:
        """Let a new segmentation begin with the segments of the task, as long as the user draws the case."""
        if self._work is not None:
            self._open_study.want(case.series, self._work.segments(case))

    async def _submit(self) -> None:
        await self._do(self._service.submit, "submitted")

    async def _accept(self) -> None:
        case = self._case()
        seen = case.result if case is not None else None
        await self._do(lambda name, key: self._service.accept(name, key, seen), "accepted")

    async def _release(self) -> None:
        await self._do(self._service.release, "given back")

    async def _send_back(self) -> None:
        case, named = self._case(), self._current
        if case is None:
            return
        with widgets.question(f"Send case {named} back to {case.person}?", testid="ask-note") as asked:
            note = (
                ui.textarea("What is to be changed")
                .props("outlined autofocus autogrow")
                .classes("note-field")
            )
            note.props('data-testid="note"')
            wrong = ui.label().classes("bad-text").props('role="alert"')

            def send() -> None:
                try:
                    asked.answer(check_note(note.value or ""))
                except DicomdockError as error:
                    self._answered()
                    wrong.set_text(str(error))

            with asked.foot:
                widgets.button("Cancel", lambda: asked.answer(None), testid="ask-cancel")
                sending = widgets.button("Send back", send, kind="main", testid="note-send")
                sending.props["data-asks"] = self._asks(Event.SENT_BACK, case)
        written = await asked.ask()
        if written:
            # While it was written, another case may have become the current one.
            await self._do(
                lambda name, key: self._service.send_back(name, key, str(written)), "sent back", named
            )

    async def _do(self, do: Callable[[str, str], Case], done: str, named: str = "") -> None:
        named = named or self._current
        if not named:
            return
        try:
            case = await self._run(do, self._name, named)
        except DicomdockError:
            await self.show()  # somebody else may have done something with it
            raise
        finally:
            self._answered()
        self._want_segments(case)
        widgets.say(f"Case {named} is {done}.", kind="success")
        self._current = ""
        await self.show()
        self._grid.take_focus()


def _row(work: Work, case: Case) -> widgets.Row:
    images = "here" if case.series in work.here else "coming" if case.series.study in work.coming else ""
    cells = {
        "case": work.name_of(case),
        "state": work.words(case),
        "patient": case.patient,
        "series": case.description,
        "images": images or (f"on {case.server}" if case.server else "not here"),
        "changed": formatting.ago(time.time() - case.changed),
    }
    order = {"case": case.number * 100 + case.slot, "changed": -case.changed}
    return widgets.Row(work.name_of(case), cells, order, dim=case.state.is_final)


def _person(person: str, counts: object) -> widgets.Row:
    assert isinstance(counts, dict), "as the service counts"
    total, done = sum(counts.values()), counts[CaseState.DONE]
    others = [f"{count} {state}" for state, count in counts.items() if count and state is not CaseState.DONE]
    text = ", ".join((f"{done} of {total}", *others)) if total else "nothing yet"
    return widgets.Row(person, {"person": person, "progress": (100 * done / total if total else 0, text)})


def _lost(work: Work) -> None:
    for sentence in work.lost[:MOST_LOST]:
        with ui.element("div").classes("note"):
            ui.label(sentence)


def _no_project(person: str) -> None:
    with widgets.empty(
        "No work for you yet",
        f"Projects are made of a cohort with 'dicomdock project make'. You are known in them as {person};"
        " your name on the Settings page changes that.",
        testid="work-empty",
    ):
        widgets.button("Studies", lambda: ui.navigate.to("/"), kind="main")
