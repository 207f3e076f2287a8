"""``targets``: lesions over the studies of a patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.api.table import Cell

commands = typer.Typer()


@commands.command(
    epilog=examples("dicomdock targets PatientID=4711", "dicomdock targets PatientID=4711 --csv targets.csv")
)
def targets(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="STUDY|KEY=VALUE", help="The studies of one patient.", show_default=False),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="This lesion only; can be given several times.", show_default=False
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV.", show_default=False)
    ] = None,
) -> None:
    """List the diameters of lesions over time points, with their sums and changes, from measurement reports.

    A lesion is followed by its tracking identifier. Where one was not measured, there is no sum
    and no response (RECIST 1.1, of the target lesions alone).
    """
    console: Console = context.obj
    if table is not None and table.exists():
        raise InvalidInput(f"{table} exists already.")
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        studies = list(dict.fromkeys(Resource(one.study) for one in sources.resources(words, archive)))
        found = archive.targets(studies, only=only or ())
    if table is not None:
        found.to_csv(table)
    rows = found.rows()
    console.result(
        {
            "studies": [*found.targets.studies],
            "rows": [dict(row) for row in rows],
            "remarks": [*found.remarks],
        }
    )
    for row in rows:
        cells = "  ".join(f"{date} {_cell(row[date])}" for date in found.columns)
        console.print(f"{row['target']}{_unit(str(row['target']))}: {cells}")
    console.print(
        f"{counted(len(found.targets.lesions), 'lesion')} at {counted(len(found.columns), 'time point')}."
    )
    console.note(*found.remarks)


def _unit(label: str) -> str:
    from dicomdock.api.targets import RESPONSE

    if label == RESPONSE:
        return ""
    return " (%)" if label.startswith("percent") else " (mm)"


def _cell(value: Cell) -> str:
    return "-" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
