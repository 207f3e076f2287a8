"""``multivolume``: what is computed over the time points, echoes or b-values of a series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.imaging.numbers import number_text

if TYPE_CHECKING:
    from dicomdock.api.archive import Archive
    from dicomdock.api.multivolume import Curves, Map, MultiVolume

commands = typer.Typer()
multivolume = typer.Typer(
    no_args_is_help=True, help="Compute over time points, echoes and b-values of a series."
)
commands.add_typer(multivolume, name="multivolume")

Series = Annotated[
    str,
    typer.Argument(metavar="SERIES", help="A series of the archive: STUDY/SERIES.", show_default=False),
]


@multivolume.command("list", epilog=examples("dicomdock multivolume list 1.2.840.1/1.2.840.3"))
def list_volumes(context: typer.Context, series: Series) -> None:
    """List the volumes of a series that share a grid, and what distinguishes them."""
    console: Console = context.obj
    with _archive(console) as archive:
        found = archive.multivolume(series)
        axis = found.axis
        console.result(
            {
                "series": series,
                "axis": axis.name,
                "unit": axis.unit,
                "values": [*axis.values],
                "remarks": [*found.remarks],
            }
        )
        for at in range(len(found)):
            console.print(f"{at + 1}: {axis.label(at)}")
        console.note(*found.remarks)


@multivolume.command(
    epilog=examples(
        "dicomdock multivolume curve 1.2.840.1/1.2.840.3 --segments 1.2.840.1/1.2.840.9 --csv uptake.csv",
        "dicomdock multivolume curve 1.2.840.1/1.2.840.3 --point 12.5,-30,108",
    )
)
def curve(
    context: typer.Context,
    series: Series,
    segments: Annotated[
        str,
        typer.Option(
            metavar="RESOURCE",
            help="The values in each segment of this DICOM Segmentation or RT Structure Set.",
            show_default=False,
        ),
    ] = "",
    point: Annotated[
        str, typer.Option(metavar="X,Y,Z", help="The values at this point, in mm, LPS.", show_default=False)
    ] = "",
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write all numbers as CSV.", show_default=False),
    ] = None,
) -> None:
    """Measure values over time, echoes or b-values: in segments, or at a point."""
    console: Console = context.obj
    if bool(segments) == bool(point):
        raise InvalidInput("Name either --segments or --point.")
    if table is not None and table.exists():
        raise InvalidInput(f"{table} exists already.")
    with _archive(console) as archive:
        volumes = archive.multivolume(series)
        measured = (
            volumes.curves(archive.segmentation(Resource.parse(segments)))
            if segments
            else volumes.curve(_point(point))
        )
    if table is not None:
        measured.to_csv(table)
    _show(console, series, measured)


@multivolume.command(
    epilog=examples(
        "dicomdock multivolume combine 1.2.840.1/1.2.840.3 mean",
        "dicomdock multivolume combine 1.2.840.1/1.2.840.3 difference --volume 4 --before 1",
    )
)
def combine(
    context: typer.Context,
    series: Series,
    how: Annotated[
        str,
        typer.Argument(metavar="mean|maximum|difference", help="What to compute.", show_default=False),
    ],
    volume: Annotated[int, typer.Option(metavar="NUMBER", help="For a difference: the volume.")] = 2,
    before: Annotated[
        int, typer.Option(metavar="NUMBER", help="For a difference: the volume to subtract.")
    ] = 1,
) -> None:
    """Store the mean or maximum over all volumes, or the difference of two, as a derived series."""
    console: Console = context.obj
    with _archive(console) as archive:
        volumes = archive.multivolume(series)
        if how == "difference":
            made = volumes.difference(_number(volume, volumes), _number(before, volumes))
            axis = volumes.axis
            words = f"{axis.label(volume - 1)} less {axis.label(before - 1)}"
        elif how in ("mean", "maximum"):
            made = volumes.mean() if how == "mean" else volumes.maximum()
            words = f"{how} of {len(volumes)} volumes by {volumes.axis.name}"
        else:
            raise InvalidInput(f"mean, maximum or difference, not {how!r}.")
        stored = made.save(words[0].upper() + words[1:])
    console.result({"series": series, "resource": str(stored), "remarks": [*volumes.remarks]})
    console.print(f"{words} is stored as {stored}.")
    console.note(*volumes.remarks)


@multivolume.command(
    epilog=examples(
        "dicomdock multivolume diffusion 1.2.840.1/1.2.840.3",
        "dicomdock multivolume diffusion 1.2.840.1/1.2.840.3 --trace 1000",
    )
)
def diffusion(
    context: typer.Context,
    series: Series,
    trace: Annotated[
        float | None,
        typer.Option(
            metavar="B",
            help="Instead: the trace-weighted image of this b-value, in s/mm2.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Store the apparent diffusion coefficient of a diffusion series as a Parametric Map, in um2/s."""
    console: Console = context.obj
    with _archive(console) as archive:
        volumes = archive.multivolume(series)
        made: Map = volumes.adc() if trace is None else volumes.trace(trace)
        stored = made.save()
    name, unit = made.map.name, made.map.unit.value
    console.result({"resource": str(stored), "name": name, "unit": unit, "remarks": [*made.remarks]})
    console.print(f"{name} is stored as {stored}, in {unit}.")
    console.note(*made.remarks)


def _archive(console: Console) -> Archive:
    from dicomdock.api.archive import Archive

    return Archive.open(console.settings)


def _point(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(one) for one in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 3:
        raise InvalidInput(f"A point is three numbers in mm, such as 12.5,-30,108, not {text!r}.")
    return found


def _number(number: int, volumes: MultiVolume) -> int:
    if not 1 <= number <= len(volumes):
        raise InvalidInput(f"The series has volumes 1 to {len(volumes)}, not {number}.")
    return number - 1


def _show(console: Console, series: str, measured: Curves) -> None:
    rows = measured.rows()
    axis = measured.axis
    console.result({"series": series, "curves": [dict(row) for row in rows], "remarks": [*measured.remarks]})
    for sample, row in zip(measured.samples, rows, strict=True):
        mean = row["mean"]
        value = f"{number_text(mean, 5)} {measured.unit}".rstrip() if isinstance(mean, float) else "no value"
        console.print(f"{axis.label(sample.at)}: {row['label']} {value}")
    console.print(f"{counted(len(axis.values), 'volume')} of {measured.images} measured.")
    console.note(*measured.remarks)
