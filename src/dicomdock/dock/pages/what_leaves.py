"""The choice of what leaves: instances as they are, or de-identified copies, with what they will show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nicegui import ui

from dicomdock.archive import Archive
from dicomdock.deidentify import OFFERED
from dicomdock.dicom.resource import Resource
from dicomdock.dock import widgets
from dicomdock.dock.pages.action_services import ActionServices
from dicomdock.dock.services.deidentified import preview, words_of
from dicomdock.errors import DicomdockError

AS_IT_IS = "as it is"
PROFILES = {AS_IT_IS: "As it is", **OFFERED}


def choose_what_leaves(
    services: ActionServices,
    archive: Archive,
    resources: Sequence[Resource],
    as_it_is: str,
    changed: Callable[[], None] | None = None,
    *,
    testid: str,
) -> ui.select:
    """Make the choice, and below it what a receiver will see; its value is ``AS_IT_IS`` or a profile.

    Parameters
    ----------
    as_it_is : describes what leaves without de-identification.
    changed : called when another is chosen.
    """

    async def show() -> None:
        if changed is not None:
            changed()
        wanted = str(made.value)
        if wanted == AS_IT_IS:
            note.set_text(as_it_is)
            return
        note.set_text("Looking at what would leave …")
        try:
            seen = words_of(await services.run(preview, archive, services.local.settings, resources, wanted))
        except DicomdockError as error:
            seen = str(error)
        if made.value == wanted:  # nothing else was chosen meanwhile
            note.set_text(seen)

    made = widgets.choice("What leaves", PROFILES, AS_IT_IS, lambda _: show(), testid=f"{testid}-deidentify")
    note = ui.label(as_it_is).classes("muted").props(f'role="status" data-testid="{testid}-note"')
    return made
