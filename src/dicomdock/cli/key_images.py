"""``key-images``: which images of a study matter, as Key Object Selections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.exit_codes import FAILED, PARTLY
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import DamagedInstances, InvalidInput

if TYPE_CHECKING:
    from dicomdock.api.key_images import KeyImages
    from dicomdock.sources import JsonValue

DAMAGED = "its file is damaged or missing"

commands = typer.Typer()
key_images = typer.Typer(
    no_args_is_help=True, help="List, read and write key images (Key Object Selections)."
)
commands.add_typer(key_images, name="key-images")


@key_images.command("list", epilog=examples("dicomdock key-images list 1.2.840.1"))
def list_key_images(
    context: typer.Context,
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A study of the archive.", show_default=False)
    ],
) -> None:
    """List the Key Object Selections of a study with the images that they select."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.api.home import resource_of
    from dicomdock.api.key_images import of_study

    found: list[KeyImages] = []
    damaged: DamagedInstances | None = None
    with Archive.open(console.settings) as archive:
        try:
            found.extend(of_study(archive, resource_of(study, "study")))
        except DamagedInstances as error:
            damaged = error
    unread = damaged.instances if damaged else ()
    documents: list[JsonValue] = [_document(one) for one in found]
    documents += [{"resource": one, "error": f"{DAMAGED}."} for one in unread]
    console.result(documents)
    for one in found:
        _show(console, one)
    console.print(f"{counted(len(found), 'selection')} in {study}.")
    if damaged:
        console.note(*(f"{one}: {DAMAGED}." for one in unread), damaged.remedy)
        raise typer.Exit(PARTLY if found else FAILED)


@key_images.command(epilog=examples("dicomdock key-images show 1.2.840.1/1.2.840.9"))
def show(
    context: typer.Context,
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE",
            help="A Key Object Selection: STUDY/SERIES or an instance.",
            show_default=False,
        ),
    ],
) -> None:
    """Show the images that a Key Object Selection selects."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        found = archive.key_images(Resource.parse(resource))
    console.result(_document(found))
    _show(console, found)


@key_images.command(
    epilog=examples(
        "dicomdock key-images write 1.2.840.1/1.2.840.3/1.2.840.5 --description 'Largest lesion'",
        "dicomdock key-images write 1.2.840.1/1.2.840.3/1.2.840.5 --title 'For Teaching'",
    )
)
def write(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="INSTANCE", help="Images of one study: STUDY/SERIES/INSTANCE.", show_default=False
        ),
    ],
    title: Annotated[
        str, typer.Option(metavar="TITLE", help="Document title: 'For Teaching', 'For Surgery', …")
    ] = "Of Interest",
    description: Annotated[str, typer.Option(metavar="TEXT", help="In words.", show_default=False)] = "",
) -> None:
    """Store a Key Object Selection of images in their study."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    if not images:
        raise InvalidInput("Name at least one image.")
    with Archive.open(console.settings) as archive:
        stored = archive.save_key_images(images, title=title, description=description)
    console.result({"resource": str(stored), "title": title, "images": len(images)})
    console.print(f"{counted(len(images), 'image')} selected as {stored}.")


def _document(found: KeyImages) -> dict[str, JsonValue]:
    return {
        "resource": str(found.resource),
        "title": found.keys.title.meaning,
        "description": found.keys.description,
        "images": [str(one) for one in found.images],
        "selected": len(found.keys.objects),
        "remarks": [*found.remarks],
    }


def _show(console: Console, found: KeyImages) -> None:
    words = f": {found.keys.description}" if found.keys.description else ""
    console.print(f"{found.keys.title.meaning}{words} ({found.resource})")
    for one in found.images:
        console.print(f"  {one}")
    console.note(*found.remarks)
