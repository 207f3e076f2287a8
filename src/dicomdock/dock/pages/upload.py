"""The Upload page: where files are dropped or chosen; ``drop.js`` sends them, and their own page opens."""

from __future__ import annotations

from nicegui import ui

from dicomdock.dock import widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.pages.visit import Visit


def page(_: Services, __: Visit) -> None:
    """Build the page."""
    with ui.element("div").classes("sheet upload"):
        with ui.element("h1"):
            ui.label("Upload")
        with ui.element("section").classes("drop-place").props('aria-label="Drop files here"'):
            ui.icon("upload_file").classes("drop-icon")
            ui.label("Drop DICOM files or folders here").classes("empty-title")
            ui.label(
                "You see what they are before anything is stored or sent. Any other page takes them too."
            ).classes("empty-text")
            with ui.element("div").classes("doors"):
                _chooser("files", "Choose files", "o", "multiple")
                _chooser("folder", "Choose a folder", "f", "webkitdirectory")
        with ui.element("div").classes("row-line"):
            ui.label("Is it in your archive already?").classes("muted")
            widgets.button(
                "Choose from the archive",
                lambda: ui.navigate.to("/?source=local"),
                icon="inventory_2",
                testid="from-archive",
            )
            ui.label("Select studies or series there and press s to send them.").classes("muted")


def _chooser(name: str, label: str, key: str, how: str) -> None:
    button = widgets.button(
        label, key=key, kind="main" if name == "files" else "plain", testid=f"choose-{name}"
    )
    button.props["data-choose"] = f"#choose-{name}"
    field = ui.element("input").props(f'type="file" {how} hidden data-upload id="choose-{name}"')
    field.props["aria-label"] = label
    field.props["data-testid"] = f"input-{name}"
