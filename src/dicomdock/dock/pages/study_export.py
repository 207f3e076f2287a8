"""Exporting what is selected: a folder with readable names, or one zip file, on this computer."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui

from dicomdock.dicom.json_model import text
from dicomdock.dock import formatting, widgets
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.pages.selection import Selection
from dicomdock.dock.pages.study_list import patient
from dicomdock.dock.pages.what_leaves import AS_IT_IS, choose_what_leaves
from dicomdock.dock.services.export import Export, free_name, usual_folder
from dicomdock.dock.services.sources import LOCAL
from dicomdock.dock.services.threads import Run
from dicomdock.errors import Cancelled, DicomdockError, InvalidInput

FORMS = {"zip": "One zip file", "folder": "A folder"}
COPIED = "The files are copied byte for byte; patient, study and series name the folders."
LOOK = 0.2  # seconds between two looks at the progress


async def export(services: ActionServices, selection: Selection) -> None:
    """Ask where to and what leaves, write, and say where it is."""
    folder = usual_folder()

    async def proposals(name: str) -> dict[str, str]:
        endings = {"zip": ".zip", "folder": ""}
        return {form: str(await services.run(free_name, folder, name, end)) for form, end in endings.items()}

    named, nameless = await proposals(_name(selection)), await proposals("De-identified")
    archive = await services.run(lambda: services.local.archive)
    resources = selection.on(LOCAL)

    def propose() -> None:
        if place.value in (*named.values(), *nameless.values()):  # else it was typed
            place.set_value((named if profile.value == AS_IT_IS else nameless)[str(form.value)])

    with widgets.question(f"Export {selection.words}", testid="ask-export") as asked:
        form = widgets.choice("As", FORMS, "zip", lambda _: propose(), testid="export-form")
        place = widgets.field("To", named["zip"], testid="export-to")
        profile = choose_what_leaves(services, archive, resources, COPIED, propose, testid="export")
        asked.cancel()
        with asked.foot:
            widgets.button("Export", lambda: asked.answer(True), kind="main", testid="export-now")
    place.on("keydown.enter", lambda: asked.answer(True))
    if not await asked.ask():
        return
    target = Path(str(place.value or "")).expanduser()
    if not target.is_absolute():
        raise InvalidInput("Type the absolute path to export to.")
    zip_file = form.value == "zip"
    if zip_file and target.suffix.lower() != ".zip":
        target = target.with_name(f"{target.name}.zip")  # or no program would know what the file is
    deidentifier = None
    if profile.value != AS_IT_IS:
        from dicomdock.transfer.deidentified import make_deidentifier

        deidentifier = await services.run(make_deidentifier, services.local.settings, str(profile.value))
    job = Export(archive, resources, target, zip_file=zip_file, deidentifier=deidentifier)
    await _write(services.run, job)


async def _write(run: Run, job: Export) -> None:
    with widgets.question(f"Exporting to {job.target}", testid="exporting") as shown:
        bar = ui.element("progress").props('max="1" aria-label="Exported"').classes("wide-bar")
        words = ui.label("Beginning …").props('role="status"').classes("num")
        shown.cancel("Stop")

    def look() -> None:
        if job.total:
            bar.props["value"] = job.done / job.total
            bar.update()
            words.set_text(
                f"{formatting.number(job.done)} of {formatting.counted(job.total, 'image')}, "
                f"{formatting.size(job.bytes)}"
            )

    with bar:
        timer = ui.timer(LOOK, look)

    async def work() -> None:
        try:
            await run(job.run)
            shown.answer(_done(job))
        except Cancelled as ended:
            shown.answer(ended)
        except DicomdockError as error:
            shown.answer(error)

    with bar:
        ui.timer(0, work, once=True)
    answer = await shown.ask()
    timer.deactivate()
    if answer is None:
        job.stop()
        widgets.say("The export was stopped.")
    elif isinstance(answer, DicomdockError):
        raise answer
    else:
        widgets.say(str(answer), kind="success", seconds=12)


def _done(job: Export) -> str:
    held = sum(job.held_back.values())
    if not held:
        return f"Exported {formatting.counted(job.done, 'image')} to {job.target}."
    reasons = "; ".join(job.held_back)
    if not job.done:
        return f"Nothing was exported: {reasons}."
    return (
        f"Exported {formatting.counted(job.done, 'image')} to {job.target};"
        f" {formatting.counted(held, 'image')} held back: {reasons}."
    )


def _name(selection: Selection) -> str:
    """Propose a name: of the patient and the day, where it is one study."""
    if len(selection.studies) != 1:
        return f"{len(selection.studies)} studies"
    study = next(iter(selection.studies.values()))
    day = formatting.dicom_date(text(study.attributes, "StudyDate"))
    return " ".join(part for part in (patient(study), day) if part) or "Study"
