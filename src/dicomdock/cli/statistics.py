"""``statistics``: the numbers of the segments of a segmentation or structure set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.errors import InvalidInput
from dicomdock.imaging.numbers import cell_text

if TYPE_CHECKING:
    from dicomdock.api.table import Cell

commands = typer.Typer()

_SHOWN = (
    ("label", "segment"),
    ("volume_ml", "ml"),
    ("diameter_mm", "longest mm"),
    ("mean", "mean"),
    ("standard_deviation", "SD"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("median", "median"),
    ("unit", "unit"),
)
_ON_IMAGES = (
    ("label", "segment"),
    ("image", "image"),
    ("area_mm2", "mm2"),
    ("slice_diameter_mm", "longest mm"),
    ("voxels", "pixels"),
    *_SHOWN[3:],
)
"""On images without a position in the patient, a line for each image."""


@commands.command(
    epilog=examples(
        "dicomdock statistics 1.2.840.1/1.2.840.9",
        "dicomdock statistics 1.2.840.1/1.2.840.9 --csv lesions.csv",
        "dicomdock statistics 1.2.840.1/1.2.840.9 --parquet lesions.parquet",
        "dicomdock statistics 1.2.840.1/1.2.840.9 --save",
        "dicomdock statistics 1.2.840.1/1.2.840.9 --images 1.2.840.1/1.2.840.3 --json",
    )
)
def statistics(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE|KEY=VALUE",
            help="A DICOM Segmentation or RT Structure Set: STUDY/SERIES or STUDY/SERIES/INSTANCE.",
            show_default=False,
        ),
    ],
    images: Annotated[
        str,
        typer.Option(
            metavar="SERIES",
            help="Measure on this series of the same frame of reference, such as the PET of a PET/CT.",
        ),
    ] = "",
    volume: Annotated[
        str, typer.Option(metavar="NAME", help="The volume to measure on, where the series holds several.")
    ] = "",
    suv: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="SUV Type of PET: BW, LBM (James), LBMJAMES128, LBMJANMA (Janmahasatian) or BSA; "
            "default: that of the images, or BW.",
        ),
    ] = "",
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write all numbers as CSV.", show_default=False),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all numbers as Parquet.", show_default=False),
    ] = None,
    save: Annotated[
        bool,
        typer.Option(
            "--save", help="Store a measurement report (TID 1500) that refers to each segment in the study."
        ),
    ] = False,
) -> None:
    """Measure segments on their images: volume, surface, diameters, values, and SUV where it can be computed.

    On images without a position in the patient (projections, ultrasound, photographs): area, longest
    diameter and values on each image.

    SUV needs weight, dose, half-life and times in the images, by body surface area also the size, and by lean
    body mass the size and sex; where one is missing, values stay in their own
    unit, and a sentence names what is missing.
    """
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        found = sources.resources(words, archive)
        if len(found) != 1:
            raise InvalidInput(f"One segmentation is measured at a time, not {len(found)}.")
        for file in (table, parquet):
            if file is not None and file.exists():
                raise InvalidInput(f"{file} exists already.")
        measured = archive.segmentation(found[0]).statistics(
            images or None, volume=volume or None, suv_type=suv
        )
        report = archive.save_statistics(measured, found[0]) if save else None
    if table is not None:
        measured.to_csv(table)
    if parquet is not None:
        measured.to_parquet(parquet)
    rows = measured.rows()
    console.result(
        {
            "resource": str(found[0]),
            "images": str(measured.images),
            "segments": [dict(row) for row in rows],
            "remarks": [*measured.remarks],
            "report": str(report) if report is not None else None,
        }
    )
    columns = _ON_IMAGES if any(row["image"] is not None for row in rows) else _SHOWN
    for line in _lines(
        [[title for _, title in columns], *([_cell(row[key]) for key, _ in columns] for row in rows)]
    ):
        console.print(line)
    for row in rows:
        glycolysis = row["total_lesion_glycolysis_g"]
        if row["suv_peak"] is not None:
            console.print(
                f"{row['label']}: SUVpeak {_cell(row['suv_peak'])} {row['unit']}, metabolic volume"
                f" {_cell(row['metabolic_volume_ml'])} ml"
                + (f", TLG {_cell(glycolysis)} g" if glycolysis is not None else "")
            )
    console.print(
        f"{counted(len({row['segment'] for row in rows}), 'segment')} measured on {measured.images}."
    )
    if report is not None:
        console.print(f"Stored as a report: {report}")
    console.note(*measured.remarks)


def _lines(rows: list[list[str]]) -> list[str]:
    """Align the cells of a table; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at in (0, len(row) - 1) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cell(value: Cell) -> str:
    return cell_text(value, 5, "-")
