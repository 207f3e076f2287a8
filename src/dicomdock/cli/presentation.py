"""``presentation``: presentation states."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput

commands = typer.Typer()
presentation = typer.Typer(no_args_is_help=True, help="Read, apply and write presentation states.")
commands.add_typer(presentation, name="presentation")

State = Annotated[
    str,
    typer.Argument(
        metavar="RESOURCE", help="A presentation state: STUDY/SERIES or an instance.", show_default=False
    ),
]


@presentation.command(epilog=examples("dicomdock presentation show 1.2.840.1/1.2.840.9"))
def show(context: typer.Context, resource: State) -> None:
    """Show which images a presentation state is for, with window, area and annotations."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        found = archive.presentation(Resource.parse(resource))
    state = found.state
    console.result(
        {
            "resource": str(found.resource),
            "label": state.label,
            "description": state.description,
            "images": [str(one) for one in found.images],
            "windows": [
                {"center": one.center, "width": one.width, "function": one.function}
                for one, _ in state.windows
            ],
            "areas": [[*one.top_left, *one.bottom_right] for one in state.areas],
            "graphics": [one.form for one in state.graphics],
            "notes": [one.text for one in state.notes],
            "shutter": state.shutter is not None,
            "rotation": state.rotation,
            "flipped": state.flipped,
            "remarks": [*found.remarks],
        }
    )
    console.print(
        f"{state.label} {state.description}".rstrip() + f" for {counted(len(state.images), 'image')}"
    )
    for window, _ in state.windows:
        console.print(f"  window {window.center:g}/{window.width:g}")
    for area in state.areas:
        console.print(
            f"  columns {area.top_left[0]} to {area.bottom_right[0]},"
            f" rows {area.top_left[1]} to {area.bottom_right[1]}"
        )
    for note in state.notes:
        console.print(f"  {note.text}")
    console.print(f"  {counted(len(state.graphics), 'graphic')}")
    console.note(*found.remarks)


@presentation.command(epilog=examples("dicomdock presentation render 1.2.840.1/1.2.840.9 picture.png"))
def render(
    context: typer.Context,
    resource: State,
    picture: Annotated[
        Path, typer.Argument(metavar="FILE", help="The PNG file to write.", show_default=False)
    ],
    image: Annotated[
        str,
        typer.Option(metavar="INSTANCE", help="One of its images; default: the first.", show_default=False),
    ] = "",
    frame: Annotated[int, typer.Option(metavar="NUMBER", help="Frame of a multi-frame image, from 1.")] = 1,
) -> None:
    """Write an image as a presentation state shows it: window, displayed area, rotation and shutter."""
    console: Console = context.obj
    if picture.exists():
        raise InvalidInput(f"{picture} exists already.")
    from PIL import Image

    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        found = archive.presentation(Resource.parse(resource))
        shown = found.render(image or None, frame)
    Image.fromarray(shown).save(picture, "PNG")
    console.result({"file": str(picture), "remarks": [*found.remarks]})
    console.print(f"{picture} is written, {shown.shape[1]} x {shown.shape[0]} pixels.")
    drawn = len(found.state.graphics) + len(found.state.notes)
    console.note(*found.remarks, *([f"Its {counted(drawn, 'annotation')} are not drawn."] if drawn else []))


@presentation.command(
    epilog=examples(
        "dicomdock presentation write 1.2.840.1/1.2.840.3/1.2.840.5 --window 40,400",
        "dicomdock presentation write 1.2.840.1/1.2.840.3/1.2.840.5 --area 100,80,300,260",
    )
)
def write(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="INSTANCE", help="Grey images of one study: STUDY/SERIES/INSTANCE.", show_default=False
        ),
    ],
    window: Annotated[
        str, typer.Option(metavar="CENTER,WIDTH", help="In the images' units.", show_default=False)
    ] = "",
    area: Annotated[
        str,
        typer.Option(
            metavar="LEFT,TOP,RIGHT,BOTTOM",
            help="The displayed area: columns and rows from 1; default: all.",
            show_default=False,
        ),
    ] = "",
    note: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN,ROW,TEXT", help="A text at a point, in pixels.", show_default=False),
    ] = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="In words.", show_default=False)] = "",
) -> None:
    """Store how images are shown: window, displayed area and texts."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.imaging.geometry import Window
    from dicomdock.imaging.presentation_state import Area, Note, PresentationState

    windows, areas, notes = [], [], []
    if window:
        center, width = _numbers(window, 2, "--window")
        if width < 1:
            raise InvalidInput("The width of a window is 1 at least.")
        windows.append((Window(center, width), ()))
    if area:
        left, top, right, low = (int(one) for one in _numbers(area, 4, "--area"))
        areas.append(Area((left, top), (right, low)))
    for one in note or []:
        column, row, text = (*one.split(",", 2), "", "")[:3]
        at = _numbers(f"{column},{row}", 2, "--note")
        notes.append(Note(text, (at[0], at[1])))
    state = PresentationState(
        (), description=description, windows=tuple(windows), areas=tuple(areas), notes=tuple(notes)
    )
    with Archive.open(console.settings) as archive:
        stored = archive.save_presentation(images, state)
    console.result({"resource": str(stored)})
    console.print(f"The presentation state is stored as {stored}.")


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise InvalidInput(f"{option} takes {count} numbers with commas between them, not {text!r}.")
    return found
