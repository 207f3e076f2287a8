"""``view``: look at a study of the archive, and segment it: in the dock that runs, else without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput, NotInArchive

if TYPE_CHECKING:
    from dicomdock.archive import Archive

commands = typer.Typer()


@commands.command(
    epilog=examples("dicomdock view 1.2.3", "dicomdock view 1.2.3/1.2.3.4", "dicomdock view PatientID=4711")
)
def view(
    context: typer.Context,
    resource: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE", help="STUDY, STUDY/SERIES, or KEY=VALUE that selects one.", show_default=False
        ),
    ],
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open a study of the archive in the viewer, in the dock if one runs.

    Without a dock, Ctrl-C ends the viewer, and unsaved drawings are autosaved.
    """
    console: Console = context.obj
    with sources.archive(console) as archive:
        wanted = _wanted(resource, archive)
    show(console, wanted, browser=browser)


def show(console: Console, wanted: Resource, *, browser: bool = True) -> None:
    """Show a study or series of the archive: in the dock that runs, else in a viewer until Ctrl-C.

    Raises
    ------
    MissingDependency
        The viewer is not installed.
    """
    import contextlib

    from dicomdock.dock.addresses import in_running_dock
    from dicomdock.dock.services.viewers import Viewers
    from dicomdock.launch.browser import open_link

    if browser and (place := in_running_dock(console.settings, wanted)):
        opened = open_link(console.settings, place)
        console.result({"study": wanted.study, "series": wanted.series, "url": place})
        console.print("The study opens in the browser." if opened else f"The study is here, once: {place}")
        return
    viewers = Viewers(console.settings, spare=False)
    try:
        url = viewers.open(wanted)
        viewer = viewers.get(wanted.study)
        opened = browser and viewer is not None and open_link(console.settings, viewer.one_time_url)
        console.result({"study": wanted.study, "series": wanted.series, "url": url})
        where = "opens in the browser" if opened else f"is here: {url} "
        console.print(f"The viewer {where}; Ctrl-C ends it.")
        console.flush()
        with contextlib.suppress(KeyboardInterrupt):
            if viewer is not None:
                viewer.wait()
    finally:
        viewers.close()


def _wanted(words: list[str], archive: Archive) -> Resource:
    """Return the one study or series that is meant.

    Raises
    ------
    InvalidInput
        Several are.
    NotInArchive
        It is not in the archive.
    """
    found = sources.resources(words, archive)
    if len({one.study for one in found}) != 1:
        raise InvalidInput(f"{len(found)} studies are meant; name one of them.")
    wanted = Resource(found[0].study, found[0].series if len(found) == 1 else None)
    if not archive.present(wanted):
        raise NotInArchive(f"{wanted} is not in the archive.", remedy="'dicomdock pull' retrieves it.")
    return wanted
