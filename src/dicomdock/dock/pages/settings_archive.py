"""Settings of the archive: where it is, how large it may grow, and what must stay free."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from nicegui import ui

from dicomdock.dock import formatting, widgets
from dicomdock.dock.bundle import Services
from dicomdock.dock.services.archive import LocalArchive
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.archive.index.queries import Summary

GB = 1000**3  # as the pages write sizes


def section(services: Services) -> None:
    """Build the section."""
    local, run = services.local, services.run
    settings = local.settings
    held = ui.label("Counting …").props('role="status" data-testid="archive-holds"')
    with ui.element("form").classes("settings-form") as form:
        place = widgets.field("Folder", settings.archive_location, testid="archive-folder").classes("wide")
        place.props["hint"] = "Another folder is used from the next start; move the files there yourself."
        limit = _gigabytes("Largest size in GB", settings.archive_limit, "archive-limit")
        limit.props["hint"] = (
            "0 for no limit. What has not been used for longest is removed first; never what is pinned, was "
            "made on this computer or is on no server."
        )
        floor = _gigabytes("Space that stays free in GB", settings.free_space_floor, "free-space-floor")
        floor.props["hint"] = "Transfers stop before the disk has less."
        with ui.element("div").classes("row-line"):
            widgets.button("Save", kind="main", testid="save-archive").props('type="submit"')
            widgets.button("Make room now", lambda: make_room(), testid="make-room")

    async def count() -> None:
        held.set_text(await run(_holds, local))

    async def save() -> None:
        typed, before = (place.value or "").strip(), local.settings.archive_location
        folder = typed if "://" in typed else str(Path(typed).expanduser())
        if "://" not in folder:
            _see_folder(Path(folder))
        await run(
            local.change_settings,
            **({"archive": folder} if folder != before else {}),
            archive_limit=_bytes(limit.value, "The largest size"),
            free_space_floor=_bytes(floor.value, "The space that stays free"),
        )
        words = "Saved." if folder == before else f"Saved. Start dicomdock again to use {folder}."
        widgets.say(words, kind="success")
        await make_room() if local.settings.archive_limit else await count()

    async def make_room() -> None:
        if not local.settings.archive_limit:
            widgets.say("There is no limit yet: type the largest size and save it.")
            return
        gone = await run(local.evict)
        if gone.removed:
            series = formatting.counted(len(gone.removed), "series", "series")
            widgets.say(f"Removed {series}, {formatting.size(gone.freed)}; their servers still have them.")
        elif gone.left > local.settings.archive_limit:
            widgets.say(
                f"{formatting.size(gone.left)} are stored, and none of it may be removed: it is pinned, was "
                "made on this computer or is on no server."
            )
        else:
            widgets.say("The archive is below its limit; nothing was removed.")
        await count()

    form.on("submit.prevent", save)
    ui.timer(0, count, once=True)


def _holds(local: LocalArchive) -> str:
    summary: Summary = local.archive.summary()
    free = shutil.disk_usage(local.settings.archive).free
    contents = (
        formatting.counted(summary.studies, "study", "studies"),
        formatting.counted(summary.instances, "image"),
        formatting.size(summary.bytes),
    )
    return f"Holds {', '.join(contents)}. {formatting.size(free)} are free on its disk."


def _gigabytes(label: str, count: int, testid: str) -> ui.input:
    shown = f"{count / GB:.3f}".rstrip("0").rstrip(".")
    return widgets.field(label, shown, testid=testid).props('inputmode="decimal"')


def _bytes(typed: str, what: str) -> int:
    try:
        count = float((typed or "0").replace(",", "."))
    except ValueError:
        count = -1.0
    if not 0 <= count < 1e9:
        raise InvalidInput(f"{what} is a number of gigabytes, such as 50 or 0.5.")
    return round(count * GB)


def _see_folder(folder: Path) -> None:
    if not folder.is_absolute():
        raise InvalidInput("The archive's folder must be an absolute path.")
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file, not a folder.")
