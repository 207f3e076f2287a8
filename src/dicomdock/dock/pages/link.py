"""The question page: a link came; may it? Nothing is asked of any server before the answer."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from dicomdock.dicom.json_model import text, texts
from dicomdock.dicom.names import person_name
from dicomdock.dicom.resource import Resource
from dicomdock.dock import formatting, widgets
from dicomdock.dock.addresses import open_address
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.visit import Visit
from dicomdock.dock.services.events import LinkArrived
from dicomdock.dock.services.links import Answer, Links, LinkStatus, Offer
from dicomdock.dock.services.threads import Run
from dicomdock.launch.link import LaunchRequest
from dicomdock.launch.trust import Ask, ChooseServer, Question
from dicomdock.sources import DicomJson
from dicomdock.transfer.linked import MOST_STUDIES

# It arrives when the page is connected; who has gone on to another answer by then stays there.
_FOCUS_REFUSE = """
const answers = document.querySelector('.question .answers');
if (answers && !answers.contains(document.activeElement)) {
    answers.querySelector('[data-testid=answer-refuse]')?.focus();
}
"""


def page(services: Services, visit: Visit) -> None:
    """Build the page of one link."""
    text = visit.parts["number"]
    number = int(text) if text.isdecimal() and len(text) < 10 else 0

    links, run = services.links, services.run
    shown: LinkStatus | None = None
    client = ui.context.client

    @ui.refreshable
    def show() -> None:
        nonlocal shown
        status = shown = links.get(number)
        if status is None:
            with widgets.empty(
                "This link has expired",
                "Go back to the page that it came from and click it again.",
                whole=True,
            ):
                widgets.button("All studies", lambda: ui.navigate.to("/"))
        elif status.stage == "asking" and status.question is not None:
            _ask(links, run, status)
        elif status.stage == "opening":
            _wait()
        elif status.stage == "choosing" and status.offer is not None:
            _offer(links, run, number, status.offer)
        elif status.stage == "fetching":
            _go_on(status)
        else:
            _ended(links, run, status)

    def look(event: LinkArrived) -> None:
        # Built anew only for a reason: the answer that the user is about to give must not be pulled away.
        status = links.get(number)
        if event.link != number or status == shown:
            return
        if status is not None and status.stage == "fetching" and status.page != visit.path:
            client.open(status.page)
        else:
            show.refresh()

    with ui.element("div").classes("sheet question"):
        show()
    services.events.subscribe(LinkArrived, look)


def _ask(links: Links, run: Run, status: LinkStatus) -> None:
    assert status.question is not None
    decision = status.question.decision
    if isinstance(decision, ChooseServer):
        _choose(links, run, status.number, decision)
    elif isinstance(decision, Ask):
        _may(links, run, status.number, decision.question, status.question.requests)


def _may(links: Links, run: Run, number: int, question: Question, requests: Sequence[LaunchRequest]) -> None:
    where = f"{question.scheme}://{question.host}:{question.port}"
    what = (
        formatting.counted(question.resources, "study", "studies")
        if question.resources
        else "what its token opens"
    )
    box = (
        ui.element("section")
        .classes("panel")
        .props('role="alertdialog" aria-labelledby="asked" data-testid="question"')
    )
    with box:
        with ui.element("h1").props('id="asked"'):
            ui.label(f"May a web page open {what} from {question.host}?")
        with ui.element("dl").classes("facts"):
            _fact("Server", where, "question-server")
            _fact("Host", question.host, "question-host")
            _fact("Connection", "encrypted (https)" if question.scheme == "https" else "not encrypted (http)")
            studies = dict.fromkeys(resource.study for request in requests for resource in request.resources)
            if studies:
                _fact(
                    "Study" if len(studies) == 1 else "Studies",
                    formatting.listed(studies),
                    "question-studies",
                )
            brought = any(request.token for request in requests)
            _fact("Login", "the link's own token" if brought else "none", "question-login")
        for warning in question.warnings:
            with ui.element("div").classes("warning"):
                ui.icon("warning_amber")
                ui.label(warning)
        with ui.element("div").classes("answers"):
            refuse = _answer_button(links, run, number, "refuse", "Refuse", "r")
            refuse.props("autofocus")
            _answer_button(links, run, number, "once", "Open once", "o")
            _answer_button(links, run, number, "always", "Always for this server", "a")
        with ui.element("ul").classes("consequences"):
            _line("Refuse: nothing is fetched, and this server's links are quiet for a minute.")
            _line("Open once: the study is downloaded from this server and shown; the next link asks again.")
            _line("Always: links to this server open without a question. Settings can take it back.")
        ui.label("Nothing has been sent to this server so far.").classes("muted")
    ui.run_javascript(_FOCUS_REFUSE)


def _choose(links: Links, run: Run, number: int, decision: ChooseServer) -> None:
    with ui.element("section").classes("panel").props('aria-labelledby="asked" data-testid="question"'):
        with ui.element("h1").props('id="asked"'):
            ui.label("On which server is the study that the link names?")
        if decision.site:
            ui.label(f"The link is an address of {decision.site}.").classes("muted")
        with ui.element("div").classes("answers"):
            refuse = _answer_button(links, run, number, "refuse", "None of them", "r")
            refuse.props("autofocus")
            for name in decision.names:
                _answer_button(links, run, number, "once", name, "", server=name)
        ui.label("Nothing has been sent to any server so far.").classes("muted")
    ui.run_javascript(_FOCUS_REFUSE)


def _answer_button(
    links: Links, run: Run, number: int, answer: Answer, label: str, key: str, *, server: str = ""
) -> ui.button:
    client = ui.context.client  # the button itself is gone as soon as the answer is taken

    async def send_answer() -> None:
        status = await run(links.answer, number, answer, server=server)
        page = links.next_page(status)
        if page != f"/link/{number}":
            client.open(page)

    testid = f"answer-{server or answer}"
    return widgets.button(label, send_answer, key=key, testid=testid)


def _wait() -> None:
    with widgets.empty("The server is asked for the study", whole=True, testid="opening"):
        ui.spinner(size="28px")


def _offer(links: Links, run: Run, number: int, offer: Offer) -> None:
    chosen: dict[str, ui.checkbox] = {}
    client = ui.context.client

    async def choose(uids: list[str]) -> None:
        status = await run(links.choose, number, uids)
        client.open(links.next_page(status))

    with ui.element("section").classes("panel").props('aria-labelledby="asked" data-testid="offer"'):
        with ui.element("h1").props('id="asked"'):
            ui.label("Which of these studies do you want?")
        ui.label(f"The link from {offer.connection} names none; its token opens these.").classes("muted")
        with ui.element("ul").classes("offer"):
            for study in offer.studies:
                uid = text(study, "StudyInstanceUID")
                with ui.element("li"):
                    chosen[uid] = ui.checkbox(_title(study)).props(f'data-testid="offer-{len(chosen)}"')
        if len(offer.studies) >= MOST_STUDIES:
            ui.label(f"Only {MOST_STUDIES} are listed.").classes("muted")
        with ui.element("div").classes("answers"):
            widgets.button(
                "Download the chosen",
                lambda: choose([uid for uid, box in chosen.items() if box.value]),
                kind="main",
                key="d",
                testid="take-chosen",
            )
            widgets.button("All of them", lambda: choose(list(chosen)), key="a", testid="take-all")
            widgets.button("None", lambda: ui.navigate.to("/"))


def _title(study: DicomJson) -> str:
    images = text(study, "NumberOfStudyRelatedInstances")
    parts = (
        person_name("".join(texts(study, "PatientName")[:1])) or "No name",
        text(study, "PatientID"),
        formatting.dicom_date(text(study, "StudyDate")),
        text(study, "StudyDescription"),
        " ".join(texts(study, "ModalitiesInStudy")),
        formatting.counted(int(images), "image") if images.isdecimal() and len(images) < 9 else "",
    )
    return ", ".join(part for part in parts if part)


def _go_on(status: LinkStatus) -> None:
    with widgets.empty(
        f"{formatting.counted(len(status.studies), 'study', 'studies')} on the way",
        status.message or "They are stored on this computer as they arrive.",
        whole=True,
        testid="fetching",
    ):
        if len(status.studies) == 1:
            study = open_address(Resource(status.studies[0]))
            widgets.button("Open the study", lambda: ui.navigate.to(study), kind="main")
        else:
            widgets.button("Show my studies", lambda: ui.navigate.to("/?source=local"), kind="main")
        widgets.button("Show the transfers", lambda: ui.navigate.to("/transfers"))


def _ended(links: Links, run: Run, status: LinkStatus) -> None:
    client = ui.context.client

    async def ask_again() -> None:
        again = await run(links.ask_again, status.number)
        if again.number != status.number:
            client.open(again.page)

    title = "Refused" if status.stage == "refused" else "The study could not be opened"
    with widgets.empty(title, status.message, whole=True, testid=status.stage):
        if status.refused is not None:
            widgets.button("Ask again", ask_again, key="a", testid="ask-again")
        widgets.button("All studies", lambda: ui.navigate.to("/"))


def _fact(name: str, value: str, testid: str = "") -> None:
    with ui.element("dt"):
        ui.label(name)
    with ui.element("dd").classes("mono"):
        label = ui.label(value)
        if testid:
            label.props["data-testid"] = testid


def _line(text: str) -> None:
    with ui.element("li"):
        ui.label(text)
