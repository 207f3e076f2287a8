"""``dose``: the dose in the structures of a structure set or segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput
from dicomdock.imaging.numbers import cell_text

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "dicomdock dose 1.2.840.1/1.2.840.7 --structures 1.2.840.1/1.2.840.9",
        "dicomdock dose 1.2.840.1/1.2.840.7 --structures 1.2.840.1/1.2.840.9 --csv dvh.csv",
        "dicomdock dose 1.2.840.1/1.2.840.7 --structures 1.2.840.1/1.2.840.9 --json",
    )
)
def dose(
    context: typer.Context,
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE", help="An RT Dose: STUDY/SERIES or STUDY/SERIES/INSTANCE.", show_default=False
        ),
    ],
    structures: Annotated[
        str,
        typer.Option(
            metavar="RESOURCE",
            help="The RT Structure Set or DICOM Segmentation of the same frame of reference.",
            show_default=False,
        ),
    ],
    bin_width: Annotated[
        float | None,
        typer.Option(
            "--bin",
            metavar="WIDTH",
            help="Width of the bins, in the unit of the dose; default: 0.1 Gy.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write the histograms as CSV.", show_default=False),
    ] = None,
) -> None:
    """Compute dose-volume histograms: the dose of a plan in each structure.

    A structure that the dose grid does not cover wholly has no numbers, and a sentence names it.
    """
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        doses, drawn = Resource.parse(resource), Resource.parse(structures)
        if table is not None and table.exists():
            raise InvalidInput(f"{table} exists already.")
        grid = archive.dose(doses)
        found = grid.histograms(archive.segmentation(drawn), bin_width)
    if table is not None:
        found.to_csv(table)
    rows = found.rows()
    console.result(
        {
            "resource": str(doses),
            "structures": str(drawn),
            "dose_units": grid.units,
            "dose_type": grid.kind,
            "dose_summation_type": grid.summation,
            "histograms": [
                {**row, "doses": [*one.doses], "volumes_ml": [*one.volumes]}
                for row, one in zip(rows, found.structures, strict=True)
            ],
            "remarks": [*found.remarks],
        }
    )
    for row in rows:
        if row["mean"] is None:
            console.print(f"{row['structure']}: {cell_text(row['volume_ml'], 5)} ml, no dose")
            continue
        numbers = ", ".join(f"{name} {cell_text(row[key], 5)}" for name, key in _SHOWN)
        console.print(f"{row['structure']}: {cell_text(row['volume_ml'], 5)} ml, {numbers} {found.unit}")
    console.print(f"Dose in {counted(len(rows), 'structure')} of {drawn}.")
    console.note(*found.remarks)


_SHOWN = (("min", "minimum"), ("mean", "mean"), ("max", "maximum"), ("D95", "d95"), ("D2", "d2"))
