"""``view``: look at a study of the archive, and segment it, without a dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.terminal import Terminal, examples
from dicomdock.errors import InvalidInput, NotFound
from dicomdock.resource import Resource

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
    """Open a study of the archive in the viewer; Ctrl-C ends it, and what was drawn is kept."""
    terminal: Terminal = context.obj
    with sources.archive(terminal) as archive:
        wanted = _wanted(resource, archive)
    show(terminal, wanted, browser=browser)


def show(terminal: Terminal, wanted: Resource, *, browser: bool = True) -> None:
    """Show a study or series of the archive in the viewer, until Ctrl-C.

    Raises
    ------
    MissingDependency
        The viewer is not installed.
    """
    import contextlib
    import webbrowser

    from dicomdock.dock.viewers import Viewers

    viewers = Viewers(terminal.settings, spare=False)
    try:
        url = viewers.open(wanted)
        terminal.result({"study": wanted.study, "url": url})
        opened = browser and webbrowser.open(url)
        terminal.say(
            f"The viewer {'opens in the browser' if opened else 'is here: ' + url} ; Ctrl-C ends it."
        )
        terminal.flush()
        with contextlib.suppress(KeyboardInterrupt):
            viewers.wait(wanted.study)
    finally:
        viewers.close()


def _wanted(words: list[str], archive: Archive) -> Resource:
    """Give the one study or series that is meant.

    Raises
    ------
    InvalidInput
        Several are.
    NotFound
        It is not in the archive.
    """
    found = sources.resources(words, archive)
    if len({one.study for one in found}) != 1:
        raise InvalidInput(f"{len(found)} studies are meant; name one of them.")
    wanted = Resource(found[0].study, found[0].series if len(found) == 1 else None)
    if not archive.present(Resource(wanted.study)):
        raise NotFound(f"{wanted.study} is not in the archive; 'dicomdock pull' brings it.", status=404)
    return wanted
