"""The card of a case on the page My work: what is asked, what is to be done now, what was said about it."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from dicomdock.dock.services.project_work import Work
from dicomdock.project.model import Case


def card(work: Work, case: Case, changes: Sequence[str]) -> None:
    """Draw what is asked in a case, and what was said about it."""
    task = work.project.task
    ui.label(f"Case {work.name_of(case)}: {task.title}").classes("study-title").props(
        'role="heading" aria-level="2"'
    )
    if task.instructions:
        ui.label(task.instructions)
    if task.segments:
        ui.label(f"Segments: {', '.join(one.label for one in task.segments)}").classes("muted")
    if case.note:
        with ui.element("div").classes("warning"):
            ui.icon("undo")
            ui.label(f"{case.reviewer or 'The reviewer'}: {case.note}").props('data-testid="case-note"')
    ui.label(work.explain(case)).props('data-testid="case-explained"')
    facts = [("State", work.words(case)), ("Drawn by", case.person), ("Reviewed by", case.reviewer)]
    facts += [("Patient", case.patient), ("Submitted", f"{case.rounds} times" if case.rounds > 1 else "")]
    with ui.element("dl").classes("facts"):
        for name, fact in facts:
            if fact:
                with ui.element("dt"):
                    ui.label(name)
                with ui.element("dd"):
                    ui.label(fact)
    for one in work.notes.get(case.key, ()):
        ui.label(f"Before, {one.person} wrote: {one.note}").classes("muted").props(
            'data-testid="case-earlier"'
        )
    if changes:
        with ui.element("div").props('data-testid="case-changes"'):
            ui.label(changes[0])
            with ui.element("ul").classes("plain-list"):
                for line in changes[1:]:
                    with ui.element("li"):
                        ui.label(line).classes("muted num")
