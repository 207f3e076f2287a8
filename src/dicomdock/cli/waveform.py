"""``waveform``: a strip of an electrocardiogram."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput

commands = typer.Typer()


@commands.command(epilog=examples("dicomdock waveform 1.2.840.1/1.2.840.9 strip.svg --start 10 --seconds 5"))
def waveform(
    context: typer.Context,
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE", help="A waveform: STUDY/SERIES or an instance.", show_default=False
        ),
    ],
    picture: Annotated[
        Path, typer.Argument(metavar="FILE", help="The SVG file to write.", show_default=False)
    ],
    start: Annotated[float, typer.Option(metavar="SECONDS", help="Start of the strip, in seconds.")] = 0.0,
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="Length of the strip, in seconds.")
    ] = 10.0,
) -> None:
    """Draw the channels of an electrocardiogram as SVG: 25 mm a second, 10 mm a mV."""
    console: Console = context.obj
    if picture.exists():
        raise InvalidInput(f"{picture} exists already.")
    from dicomdock.api.archive import Archive
    from dicomdock.imaging.waveforms import strip

    with Archive.open(console.settings) as archive:
        channels = archive.waveform(Resource.parse(resource))
    drawn, remarks = strip(channels, start=start, seconds=seconds)
    picture.write_text(drawn, "utf-8")
    console.result({"file": str(picture), "channels": [one.name for one in channels], "remarks": [*remarks]})
    console.print(f"{picture} is written.")
    console.note(*remarks)
