"""``registration``: rigid registration of two series."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console, examples
from dicomdock.dicom.resource import Resource
from dicomdock.errors import InvalidInput

commands = typer.Typer()
registration = typer.Typer(no_args_is_help=True, help="Register two series rigidly, and apply registrations.")
commands.add_typer(registration, name="registration")

Fixed = Annotated[
    str, typer.Argument(metavar="FIXED", help="The fixed series: STUDY/SERIES.", show_default=False)
]
Moving = Annotated[
    str, typer.Argument(metavar="MOVING", help="The moving series: STUDY/SERIES.", show_default=False)
]
Found = Annotated[
    str,
    typer.Argument(
        metavar="RESOURCE", help="A Spatial Registration, or a study that contains some.", show_default=False
    ),
]


@registration.command(
    epilog=examples("dicomdock registration landmarks 1.2.840.1/1.2.840.3 1.2.840.1/1.2.840.4 pairs.csv")
)
def landmarks(
    context: typer.Context,
    fixed: Fixed,
    moving: Moving,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A landmark a line: x, y, z in the fixed and in the moving images, in mm, LPS, with commas.",
            show_default=False,
        ),
    ],
) -> None:
    """Register by landmarks, and store the Spatial Registration in the study of the fixed series."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.imaging.registration import from_landmarks
    from dicomdock.imaging.registration.spatial import FIDUCIALS

    rows = _rows(table)
    found = from_landmarks([row[3:] for row in rows], [row[:3] for row in rows])
    comment = f"{len(rows)} landmarks, root mean square {found.error:.2f} mm"
    with Archive.open(console.settings) as archive:
        stored = archive.save_registration(fixed, moving, found.matrix, kind=FIDUCIALS, comment=comment)
    console.result(
        {
            "resource": str(stored),
            "matrix": [[float(one) for one in row] for row in found.matrix],
            "residuals_mm": [*found.residuals],
            "error_mm": found.error,
        }
    )
    for at, residual in enumerate(found.residuals, 1):
        console.print(f"landmark {at}: {residual:.2f} mm")
    console.print(f"{comment}; stored as {stored}.")


@registration.command(
    epilog=examples(
        "dicomdock registration matrix 1.2.840.1/1.2.840.3 1.2.840.1/1.2.840.4 --shift 2.5,0,-10",
    )
)
def matrix(
    context: typer.Context,
    fixed: Fixed,
    moving: Moving,
    shift: Annotated[
        str, typer.Option(metavar="X,Y,Z", help="Translation in mm, LPS.", show_default=False)
    ] = "",
    whole: Annotated[
        str,
        typer.Option(
            "--matrix",
            metavar="NUMBERS",
            help="16 numbers, row by row: from points of MOVING to points of FIXED, in mm, LPS.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Store a registration given by its matrix or shift."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.imaging.registration.spatial import VISUAL

    if bool(shift) == bool(whole):
        raise InvalidInput("Name either --shift or --matrix.")
    values = _numbers(shift or whole, 3 if shift else 16)
    if shift:
        x, y, z = values
        values = [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z, 0, 0, 0, 1]
    rows = [values[at : at + 4] for at in range(0, 16, 4)]
    with Archive.open(console.settings) as archive:
        stored = archive.save_registration(fixed, moving, rows, kind=VISUAL, comment="By hand")
    console.result({"resource": str(stored)})
    console.print(f"The registration is stored as {stored}.")


@registration.command(
    epilog=examples("dicomdock registration intensity 1.2.840.1/1.2.840.3 1.2.840.1/1.2.840.4")
)
def intensity(context: typer.Context, fixed: Fixed, moving: Moving) -> None:
    """Register by the values of both series, and store the Spatial Registration; Ctrl+C stops it.

    Needs dicomdock[registration]. Check the result before you use it: nothing guarantees that it is right.
    """
    console: Console = context.obj
    from rich.console import Console as Terminal
    from rich.progress import Progress

    from dicomdock.api.archive import Archive
    from dicomdock.api.intensity import register
    from dicomdock.imaging.registration.spatial import CONTENT

    with Archive.open(console.settings) as archive:
        volumes = archive.volume(fixed), archive.volume(moving)
        with Progress(console=Terminal(stderr=True), transient=True, disable=not console.attended) as bar:
            task = bar.add_task("Registering", total=1.0)
            found = register(*volumes, lambda share: bar.update(task, completed=share))
        stored = archive.save_registration(
            fixed, moving, found, kind=CONTENT, comment="Mutual information, rigid"
        )
    console.result({"resource": str(stored), "matrix": [[float(one) for one in row] for row in found]})
    console.print(f"The registration is stored as {stored}. Look at it before you use it.")


@registration.command(epilog=examples("dicomdock registration show 1.2.840.1"))
def show(context: typer.Context, resource: Found) -> None:
    """Show the registrations of an object or a study."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        found = archive.registrations(Resource.parse(resource))
    console.result(
        [
            {
                "fixed": one.fixed,
                "moving": one.moving,
                "matrix": [[float(value) for value in row] for row in one.matrix],
                "comment": one.comment,
                "instance": one.instance,
            }
            for one in found
        ]
    )
    for one in found:
        console.print(f"{one.moving} to {one.fixed}: {one.comment or 'no comment'}")
        for row in one.matrix:
            console.print("  " + "  ".join(f"{value:10.5g}" for value in row))
    console.print(f"{counted(len(found), 'registration')} in {resource}.")


@registration.command(
    epilog=examples(
        "dicomdock registration apply 1.2.840.1 1.2.840.1/1.2.840.3 1.2.840.1/1.2.840.4 moved.nii.gz"
    )
)
def apply(
    context: typer.Context,
    resource: Found,
    fixed: Fixed,
    moving: Moving,
    target: Annotated[
        Path, typer.Argument(metavar="FILE", help="NIfTI or NRRD to write.", show_default=False)
    ],
) -> None:
    """Write the moving images on the grid of the fixed ones, with linear interpolation."""
    console: Console = context.obj
    if target.exists():
        raise InvalidInput(f"{target} exists already.")
    from dicomdock.api.archive import Archive

    with Archive.open(console.settings) as archive:
        made = archive.registered(Resource.parse(resource), fixed=fixed, moving=moving)
    made.to_file(target)
    console.result({"file": str(target)})
    console.print(f"{target} is written.")


def _rows(table: Path) -> list[list[float]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            lines = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"{table} cannot be read: {error}.") from error
    return [_numbers(",".join(row), 6) for row in lines]


def _numbers(text: str, count: int) -> list[float]:
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise InvalidInput(f"{count} numbers with commas between them are needed, not {text[:80]!r}.")
    return found
