"""What ``tool`` does with MONAI Label servers: their models as tools, the next sample, labels submitted."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dicomdock.cli import tool_output
from dicomdock.cli.formatting import counted
from dicomdock.cli.output import Console
from dicomdock.dicom.query import Query
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.api.archive import Archive
    from dicomdock.config.tools import Tool
    from dicomdock.tools.monai_label import Info, Model

POINTS: Mapping[str, Literal["labels", "foreground"]] = {"deepedit": "labels", "deepgrow": "foreground"}
"""How the interactive kinds of models take points."""
SECONDS = 60.0  # that a server may take to list its models
Name = Annotated[str, typer.Argument(metavar="NAME", help="A model of MONAI Label.", show_default=False)]


def declared_by(console: Console, name: str, url: str, model: str, secret: str, *, sure: bool) -> Tool:
    """Return a tool of what a server says of a model, once the user has taken its labels.

    Raises
    ------
    InvalidInput
        No model was named of several, or the labels were not taken.
    """
    from dicomdock.config.tools import Tool
    from dicomdock.tools.monai_label import info
    from dicomdock.tools.service import login_with, open_connection

    asked = Tool(name, monai_label=url.rstrip("/"), model=model or "?")
    if asked.origin is None:
        raise InvalidInput("--monai-label needs an address.")
    auth = login_with(secret, asked.origin)
    with open_connection(console.settings, asked.web_endpoint, auth, SECONDS) as http:
        found = info(http)
    chosen = _chosen(console, found, model)
    described = " ".join(chosen.description.split())[:200]
    tool = Tool(
        name,
        monai_label=asked.monai_label,
        model=chosen.name,
        version=found.version,
        manufacturer=found.name[:64],
        description=described,
        points=POINTS.get(chosen.kind, ""),
        labels={str(value): label for value, label in chosen.labels.items()},
    )
    if sure:
        return tool
    tool_output.show(console, tool)
    if not console.confirm("Take these labels with these codes?"):
        raise InvalidInput(
            "The labels were not taken; --yes takes them as they are shown, and a declaration in a file can"
            " name others."
        )
    return tool


def _chosen(console: Console, found: Info, model: str) -> Model:
    """Return the model that is meant, where it is one that labels volumes."""
    if model not in found.models:
        for one in found.models.values():
            console.print(f"{one.name}  {one.kind}  {counted(len(one.labels), 'label')}  {one.description}")
        names = ", ".join(found.models) or "none"
        what = f"The server has no model {model!r}" if model else "Name a model with --model"
        raise InvalidInput(f"{what}; it has: {names}.")
    chosen = found.models[model]
    if chosen.dimension != 3:
        raise InvalidInput(f"The model {model} takes images of {chosen.dimension} dimensions, not volumes.")
    if not chosen.labels:
        raise InvalidInput(
            f"The server does not say what the labels of {model} are; declare them in a file, with"
            " monai_label and model."
        )
    return chosen


def next_sample(
    context: typer.Context,
    name: Name,
    strategy: Annotated[
        str, typer.Option(metavar="STRATEGY", help="How the server chooses: random, first, …")
    ] = "random",
) -> None:
    """Ask a MONAI Label server which image is to be annotated next."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.tools import monai_label
    from dicomdock.tools.service import connected

    tool = _tool(console, name)
    with connected(tool, console.settings) as http:
        sample = monai_label.next_sample(http, strategy)
    if sample is None:
        console.result({"image": None, "resource": None})
        console.print(f"{name} has no further image.")
        return
    with Archive.open(console.settings) as archive:
        here = _series(archive, sample.image)
    console.result({"image": sample.image, "resource": here or None})
    console.print(here or f"{sample.image} (not in the archive)")


def submit(
    context: typer.Context,
    name: Name,
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE", help="A segmentation: STUDY/SERIES or an instance.", show_default=False
        ),
    ],
    image: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="The server's id of the image; default: the Series Instance UID of the images.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Submit a segmentation to a MONAI Label server, with the values of its model's labels."""
    console: Console = context.obj
    from dicomdock.api.archive import Archive
    from dicomdock.api.tools import write_label_map
    from dicomdock.tools import monai_label
    from dicomdock.tools.service import connected, require_allowed

    tool = _tool(console, name)
    assert tool.origin is not None, "it is a service"
    require_allowed(console.settings, tool.origin, f"The tool {name}")
    with Archive.open(console.settings) as archive:
        found = archive.segmentation(resource)
    with tempfile.TemporaryDirectory(prefix="dicomdock-tool-") as folder:
        file = Path(folder) / "label.nii.gz"
        write_label_map(tool, found, file)
        with connected(tool, console.settings) as http:
            monai_label.save_label(http, image or found.source_series, file)
    console.result({"resource": resource, "image": image or found.source_series})
    console.print(f"Submitted to {name}: {', '.join(one.label for one in found.segments)}.")


def _tool(console: Console, name: str) -> Tool:
    from dicomdock.config.tools import ToolFolder

    tool = ToolFolder(console.settings).get(name)
    if not tool.monai_label:
        raise InvalidInput(f"The tool {name!r} is not a model of MONAI Label.")
    return tool


def _series(archive: Archive, uid: str) -> str:
    """Return a series of the archive by its UID; empty where it is not there, or is not a UID."""
    from dicomdock.dicom.json_model import text
    from dicomdock.dicom.uid import is_uid

    if not is_uid(uid):
        return ""
    for page in archive.search(Query("series", {"SeriesInstanceUID": uid})):
        for match in page.matches:
            return f"{text(match.attributes, 'StudyInstanceUID')}/{uid}"
    return ""
