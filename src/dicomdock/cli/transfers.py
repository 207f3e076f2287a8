"""``transfers``: what is and was moved, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dicomdock.cli import sources
from dicomdock.cli.output import Console, examples
from dicomdock.cli.transfer import queue_of, run
from dicomdock.errors import InvalidInput

if TYPE_CHECKING:
    from dicomdock.transfer import Transfer

commands = typer.Typer(
    name="transfers",
    invoke_without_command=True,
    epilog=examples("dicomdock transfers", "dicomdock transfers resume 3"),
)
Number = Annotated[int, typer.Argument(metavar="ID", help="The transfer's number.", show_default=False)]


@commands.callback()
def transfers(context: typer.Context) -> None:
    """List transfers, resume unfinished ones, or cancel them."""
    if context.invoked_subcommand is None:
        listed(context)


@commands.command("list")
def listed(context: typer.Context) -> None:
    """List the transfers, newest first."""
    console: Console = context.obj
    queue = queue_of(console)
    queue.recover()
    found = queue.latest()
    console.result({"transfers": [transfer.to_json() for transfer in found]})
    console.print(*map(_line, found))
    if not found:
        console.print("There are no transfers.")


@commands.command()
def resume(context: typer.Context, number: Number) -> None:
    """Resume an unfinished transfer; what is done is not done again."""
    console: Console = context.obj
    queue = queue_of(console)
    transfer = queue.resume(number)
    if transfer.state == "done":
        console.result(dict(transfer.report))
        console.print(f"Transfer {number} is done; nothing is left to do.")
        return
    if not queue.claim(number):
        raise InvalidInput(f"Transfer {number} is being worked on already.")
    with sources.archive(console) as archive:
        run(console, queue, transfer, archive)


@commands.command()
def cancel(context: typer.Context, number: Number) -> None:
    """Cancel a transfer; what has arrived stays."""
    console: Console = context.obj
    transfer = queue_of(console).request(number, "cancel")
    console.result(transfer.to_json())
    ending = transfer.state == "running"
    console.print(f"Transfer {number} {'is being cancelled' if ending else f'is {transfer.state}'}.")


def _line(transfer: Transfer) -> str:
    expected = "?" if transfer.progress.expected is None else transfer.progress.expected
    what = " ".join((*transfer.resources, *transfer.files))
    line = f"{transfer.id:>4}  {transfer.state:<9}  {transfer.kind} {transfer.server}"
    line += f"  {transfer.progress.done}/{expected}  {what}"
    return f"{line}  ({transfer.message})" if transfer.message else line
